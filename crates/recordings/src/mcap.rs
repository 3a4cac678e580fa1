//! MCAP files (<https://mcap.dev/spec>).
//!
//! The footer of a closed file names the place of the summary, which has the channels, the statistics, and the places of
//! the chunks. A file without a footer was not closed. Its records are visited one after another; the index after each
//! chunk tells the numbers of its messages.

mod record;
mod summary;
mod walk;

use crate::Fault;
use crate::draft::Draft;
use crate::reader::{Reader, Stop};
use record::{FOOTER_BYTES, HEADER_BYTES, Names, Op, Record};
use walk::Walk;

/// Begin of the files of all versions.
pub(crate) const BEGIN: &[u8] = b"\x89MCAP";
/// Begin and end of a file of version 0.
const MAGIC: &[u8] = b"\x89MCAP0\r\n";

/// Reads an MCAP file.
pub(crate) fn read(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Stop> {
    let mut names = Names::default();
    let result = read_records(reader, &mut names, draft);
    names.finish(draft)?;
    result
}

fn read_records(reader: &mut Reader<'_>, names: &mut Names, draft: &mut Draft) -> Result<(), Stop> {
    if reader.up_to(0, MAGIC.len())? != MAGIC {
        return Err(Fault::Version.into());
    }
    let start = MAGIC.len() as u64;
    let Some(footer) = footer(reader)? else {
        draft.is_cut = true;
        let content = start..reader.size();
        return Walk::new(names, draft).read(reader, content);
    };
    let content = start..footer.start;
    if footer.summary == 0 {
        return Walk::new(names, draft).read(reader, content);
    }
    let fault = match summary::read(reader, &content, footer.summary, names, draft) {
        Ok(summary) if summary.is_complete(names, draft) => return Ok(()),
        Ok(summary) => return Walk::after_summary(&summary, names, draft).read(reader, content),
        Err(Stop::Fault(fault)) => fault,
        Err(Stop::End) => Fault::Index,
        Err(stop) => return Err(stop),
    };
    // The records tell the same as the summary, only slower.
    *draft = Draft::after(fault);
    *names = Names::default();
    Walk::new(names, draft).read(reader, content)
}

/// The last record of a closed file.
struct Footer {
    start: u64,
    /// Place of the summary; 0 if there is none.
    summary: u64,
}

/// Returns the footer, or none if the file was not closed.
fn footer(reader: &mut Reader<'_>) -> Result<Option<Footer>, Stop> {
    let magic = reader.size().saturating_sub(MAGIC.len() as u64);
    let start = magic.saturating_sub(HEADER_BYTES + FOOTER_BYTES);
    if start < MAGIC.len() as u64 || reader.up_to(magic, MAGIC.len())? != MAGIC {
        return Ok(None);
    }
    let record = Record::read(reader, start, magic)?;
    if record.op != Op::FOOTER || record.content.end != magic {
        return Ok(None);
    }
    Ok(Some(Footer { start, summary: reader.u64(record.content.start)? }))
}

#[cfg(test)]
mod tests;
