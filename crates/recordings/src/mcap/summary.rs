//! The summary of a closed file.

use std::ops::Range;

use super::record::{Names, Op, Record};
use crate::Fault;
use crate::description::Timestamp;
use crate::draft::Draft;
use crate::reader::{Reader, Stop};

/// Number of chunks between two whose places are checked, after the first ones. Each check costs a read.
const CHECKED_STEP: u64 = 256;
/// Number of chunks at the begin whose places are all checked.
const CHECKED_FIRST: u64 = 16;

/// Parts that a summary has.
#[derive(Default)]
pub(super) struct Summary {
    /// Whether it has the numbers of messages of all channels.
    pub(super) has_counts: bool,
}

impl Summary {
    /// Returns whether the summary tells all that a description needs.
    pub(super) fn is_complete(&self, names: &Names, draft: &Draft) -> bool {
        self.has_counts && names.is_complete() && draft.knows_all()
    }
}

/// Reads the summary, which is between this place and the end of the content.
pub(super) fn read(
    reader: &mut Reader<'_>,
    content: &Range<u64>,
    start: u64,
    names: &mut Names,
    draft: &mut Draft,
) -> Result<Summary, Stop> {
    if !content.contains(&start) {
        return Err(Fault::IndexOutside.into());
    }
    let mut summary = Summary::default();
    let mut chunks = Chunks { content: content.start..start, next: content.start, seen: 0 };
    let mut at = start;
    while at < content.end {
        let record = Record::read(reader, at, content.end)?;
        if record.content.end > content.end {
            return Err(Fault::Index.into());
        }
        match record.op {
            Op::SCHEMA | Op::CHANNEL => names.add(reader, &record, draft)?,
            Op::STATISTICS if summary.has_counts => return Err(Fault::IndexFalse.into()),
            Op::STATISTICS => summary.has_counts = statistics(reader, &record, draft)?,
            Op::CHUNK_INDEX => chunks.check(reader, &record)?,
            _ => {}
        }
        at = record.content.end;
    }
    Ok(summary)
}

/// Reads the statistics. Returns whether they have the numbers of messages of each channel.
fn statistics(reader: &mut Reader<'_>, record: &Record, draft: &mut Draft) -> Result<bool, Stop> {
    let mut fields = record.fields(reader);
    let messages = fields.u64()?;
    // Numbers of schemas, channels, attachments, metadata and chunks.
    fields.skip(2 + 4 * 4)?;
    let (from, until) = (Timestamp(fields.u64()?), Timestamp(fields.u64()?));
    let counts = fields.sized()?;
    if counts.is_empty() {
        return Ok(messages == 0);
    }
    let mut sum: u64 = 0;
    for at in counts.clone().step_by(10) {
        if counts.end - at < 10 {
            return Err(Fault::Index.into());
        }
        let count = reader.u64(at + 2)?;
        draft.count(reader.u16(at)?.into(), count);
        sum = sum.saturating_add(count);
    }
    if sum != messages || from > until {
        return Err(Fault::IndexFalse.into());
    }
    if messages > 0 {
        draft.span(from, until);
    }
    Ok(true)
}

/// Checks the places of chunks.
struct Chunks {
    /// Place of all chunks.
    content: Range<u64>,
    /// First place at which the next chunk can be.
    next: u64,
    seen: u64,
}

impl Chunks {
    /// Checks the index of one chunk.
    fn check(&mut self, reader: &mut Reader<'_>, record: &Record) -> Result<(), Stop> {
        let mut fields = record.fields(reader);
        let (from, until, start) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let length = fields.u64()?;
        let end = start.checked_add(length).filter(|end| *end <= self.content.end);
        let end = end.filter(|_| start >= self.next && from <= until).ok_or(Fault::IndexFalse)?;
        if self.seen < CHECKED_FIRST || self.seen.is_multiple_of(CHECKED_STEP) {
            let chunk = Record::read(reader, start, end).map_err(|stop| match stop {
                Stop::End | Stop::Fault(_) => Stop::Fault(Fault::IndexFalse),
                stop => stop,
            })?;
            if chunk.op != Op::CHUNK || chunk.content.end != end {
                return Err(Fault::IndexFalse.into());
            }
        }
        self.seen += 1;
        self.next = end;
        Ok(())
    }
}
