//! Decides what a file is, and describes it.

use std::io;

use crate::description::{Description, Kind};
use crate::draft::Draft;
use crate::reader::{Budget, Reader, Source, Stop};
use crate::{Fault, mcap, ros1, text};

/// Number of bytes at the begin that decide what a file is.
const HEAD_BYTES: usize = 4096;
/// Begin of each SQLite database.
const DATABASE: &[u8] = b"SQLite format 3\0";

/// Describes a file. The name only decides whether the content is what it promises.
///
/// # Errors
/// Only errors of the source.
pub fn describe(name: &str, source: &mut dyn Source) -> io::Result<Description> {
    let mut budget = Budget::default();
    let mut reader = Reader::new(source, &mut budget);
    if reader.size() == 0 {
        return Ok(Description { fault: Some(Fault::Empty), ..Description::of(Kind::Other) });
    }
    let (kind, head) = kind(&mut reader)?;
    let mut description = match kind {
        Kind::Ros1Bag | Kind::Mcap => recording(kind, &mut reader)?.finish(kind),
        _ => Description { head, ..Description::of(kind) },
    };
    if Kind::promised(name).is_some_and(|promised| promised != kind) {
        description.fault = Some(Fault::NotAsNamed);
    }
    Ok(description)
}

/// Returns the kind of a file, and the first lines of a text.
pub(crate) fn kind(reader: &mut Reader<'_>) -> io::Result<(Kind, Vec<String>)> {
    let goes_on = reader.size() > HEAD_BYTES as u64;
    let head = match reader.up_to(0, HEAD_BYTES) {
        Ok(head) => head,
        Err(Stop::Source(error)) => return Err(error),
        Err(_) => return Ok((Kind::Other, Vec::new())),
    };
    let of_bytes = [(ros1::BEGIN, Kind::Ros1Bag), (mcap::BEGIN, Kind::Mcap), (DATABASE, Kind::Database)];
    if let Some((_, kind)) = of_bytes.iter().find(|(begin, _)| head.starts_with(begin)) {
        return Ok((*kind, Vec::new()));
    }
    Ok(text::head(head, goes_on).map_or((Kind::Other, Vec::new()), |lines| (Kind::Text, lines)))
}

/// Reads a bag or an MCAP file.
pub(crate) fn recording(kind: Kind, reader: &mut Reader<'_>) -> io::Result<Draft> {
    let mut draft = Draft::default();
    let read =
        if kind == Kind::Mcap { mcap::read(reader, &mut draft) } else { ros1::read(reader, &mut draft) };
    match read {
        Ok(()) => {}
        Err(Stop::Source(error)) => return Err(error),
        Err(Stop::End) => draft.is_cut = true,
        Err(Stop::Limit) => draft.is_partial = true,
        Err(Stop::Fault(fault)) => draft.fault = draft.fault.or(Some(fault)),
    }
    Ok(draft)
}

#[cfg(test)]
mod tests;
