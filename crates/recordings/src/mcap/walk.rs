//! The records of a file without a complete summary.

use std::ops::Range;

use super::record::{Names, Op, Record};
use super::summary::Summary;
use crate::Fault;
use crate::description::Timestamp;
use crate::draft::Draft;
use crate::reader::{Reader, Stop};

/// Size of an entry of a message index, in bytes: the time of a message and its place in the chunk.
const ENTRY_BYTES: u64 = 16;

/// Reads records one after another.
pub(super) struct Walk<'a> {
    names: &'a mut Names,
    /// Whether messages are counted. Otherwise only names are sought.
    counts: bool,
    /// The latest chunk.
    chunk: Chunk,
    draft: &'a mut Draft,
}

/// A chunk, and what is known about it.
#[derive(Default)]
struct Chunk {
    /// Place of the records in it.
    records: Range<u64>,
    times: Option<(Timestamp, Timestamp)>,
    is_compressed: bool,
    /// Whether message indexes follow it.
    has_index: bool,
}

impl<'a> Walk<'a> {
    /// Returns a walk that counts messages.
    pub(super) fn new(names: &'a mut Names, draft: &'a mut Draft) -> Self {
        Self { names, counts: true, chunk: Chunk::default(), draft }
    }

    /// Returns a walk for what a summary does not tell.
    pub(super) fn after_summary(summary: &Summary, names: &'a mut Names, draft: &'a mut Draft) -> Self {
        Self { counts: !summary.has_counts, ..Self::new(names, draft) }
    }

    /// Reads the records in this part of the file. Records that end after it mark the file as cut.
    pub(super) fn read(mut self, reader: &mut Reader<'_>, content: Range<u64>) -> Result<(), Stop> {
        let mut at = content.start;
        while at < content.end {
            match self.step(reader, at, content.end) {
                Ok(Some(next)) => at = next,
                Ok(None) => break,
                // The remains of a write that did not finish.
                Err(Stop::Fault(_)) if self.draft.is_cut => break,
                Err(Stop::End) => {
                    self.draft.is_cut = true;
                    break;
                }
                Err(Stop::Fault(fault)) => return self.finish_chunk(reader).and(Err(fault.into())),
                Err(stop) => return Err(stop),
            }
        }
        self.finish_chunk(reader)
    }

    /// Reads one record. Returns the place of the next one, or none at the end of the data.
    fn step(&mut self, reader: &mut Reader<'_>, at: u64, end: u64) -> Result<Option<u64>, Stop> {
        let record = Record::read(reader, at, end)?;
        let is_whole = record.content.end <= end;
        self.draft.is_cut |= !is_whole;
        match record.op {
            Op::DATA_END | Op::FOOTER => return Ok(None),
            Op::CHUNK => {
                self.finish_chunk(reader)?;
                self.chunk = Chunk::read(reader, &record, end)?;
            }
            Op::MESSAGE_INDEX if is_whole => self.message_index(reader, &record)?,
            _ if is_whole => self.add(reader, &record, self.counts)?,
            _ => {}
        }
        Ok(Some(record.content.end))
    }

    /// Adds a record that can be in a chunk as well. With `counts`, a message is counted.
    fn add(&mut self, reader: &mut Reader<'_>, record: &Record, counts: bool) -> Result<(), Stop> {
        match record.op {
            Op::SCHEMA | Op::CHANNEL => self.names.add(reader, record, self.draft),
            Op::MESSAGE if counts => {
                let mut fields = record.fields(reader);
                let channel = fields.u16()?;
                fields.skip(4)?;
                let time = Timestamp(fields.u64()?);
                self.draft.count(channel.into(), 1);
                self.draft.span(time, time);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Adds the messages of one channel in the latest chunk.
    fn message_index(&mut self, reader: &mut Reader<'_>, record: &Record) -> Result<(), Stop> {
        let mut fields = record.fields(reader);
        let channel = fields.u16()?;
        let entries = fields.sized()?;
        self.chunk.has_index = true;
        let messages = (entries.end - entries.start) / ENTRY_BYTES;
        if self.counts && messages > 0 {
            self.draft.count(channel.into(), messages);
            if let Some((from, until)) = self.chunk.times {
                self.draft.span(from, until);
            }
        }
        Ok(())
    }

    /// Returns whether the records in the latest chunk tell nothing new.
    fn knows_chunk(&self) -> bool {
        let is_counted = self.chunk.has_index || !self.counts;
        is_counted && self.draft.knows_all() && self.names.is_complete()
    }

    /// Reads the records in the latest chunk, if they tell more than the index after it.
    fn finish_chunk(&mut self, reader: &mut Reader<'_>) -> Result<(), Stop> {
        // Taken, so that no message counts twice.
        let records = std::mem::take(&mut self.chunk.records);
        if records.is_empty() || self.knows_chunk() {
            return Ok(());
        }
        if self.chunk.is_compressed {
            self.draft.is_partial = true;
            return Ok(());
        }
        match self.read_chunk(reader, records) {
            Err(Stop::End | Stop::Fault(_)) if self.draft.is_cut => Ok(()),
            Err(Stop::End) => Err(Fault::Record.into()),
            result => result,
        }
    }

    fn read_chunk(&mut self, reader: &mut Reader<'_>, records: Range<u64>) -> Result<(), Stop> {
        let counts = self.counts && !self.chunk.has_index;
        let mut at = records.start;
        while at < records.end && !self.knows_chunk() {
            let record = Record::read(reader, at, records.end)?;
            if record.content.end > records.end {
                return Err(Stop::End);
            }
            self.add(reader, &record, counts)?;
            at = record.content.end;
        }
        Ok(())
    }
}

impl Chunk {
    /// Reads the header of a chunk, whose records may end after `end`.
    fn read(reader: &mut Reader<'_>, record: &Record, end: u64) -> Result<Self, Stop> {
        let mut fields = record.fields(reader);
        let (from, until) = (Timestamp(fields.u64()?), Timestamp(fields.u64()?));
        // The size and the checksum of the records before they were compressed.
        fields.skip(8 + 4)?;
        let is_compressed = !fields.text()?.is_empty();
        let length = fields.u64()?;
        let records = fields.skip(length)?;
        Ok(Self {
            records: records.start..records.end.min(end),
            times: (from <= until).then_some((from, until)),
            is_compressed,
            has_index: false,
        })
    }
}
