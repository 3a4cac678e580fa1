//! The chunks of a bag without an index.

use std::ops::Range;

use super::record::{Op, Record, time_of};
use crate::Fault;
use crate::draft::Draft;
use crate::reader::{Reader, Stop};

/// Size of an entry of index data, in bytes: the time of a message and its place in the chunk.
const ENTRY_BYTES: u64 = 12;
/// Size of the time in such an entry, in bytes.
const TIME_BYTES: usize = 8;

/// Reads records one after another.
pub(super) struct Walk<'a> {
    /// The latest chunk.
    chunk: Chunk,
    draft: &'a mut Draft,
}

/// A chunk, and what is known about it.
#[derive(Default)]
struct Chunk {
    /// Place of the records in it.
    records: Range<u64>,
    is_compressed: bool,
    /// Whether index data follow it.
    has_index: bool,
}

impl<'a> Walk<'a> {
    pub(super) fn new(draft: &'a mut Draft) -> Self {
        Self { chunk: Chunk::default(), draft }
    }

    /// Reads all records from this place to the end of the file. Records that end after it mark the bag as cut.
    ///
    /// A chunk that the recorder had not finished has the size 0, so its records follow it like records of the bag.
    pub(super) fn read(mut self, reader: &mut Reader<'_>, start: u64) -> Result<(), Stop> {
        let end = reader.size();
        let mut at = start;
        while at < end {
            match self.step(reader, at, end) {
                Ok(next) => at = next,
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

    /// Reads one record. Returns the place of the next one.
    fn step(&mut self, reader: &mut Reader<'_>, at: u64, end: u64) -> Result<u64, Stop> {
        let record = Record::read(reader, at, end)?;
        let is_whole = record.data.end <= end;
        self.draft.is_cut |= !is_whole;
        match record.op {
            None => return Err(Fault::Record.into()),
            Some(Op::Chunk) => {
                self.finish_chunk(reader)?;
                let records = record.data.start..record.data.end.min(end);
                self.chunk = Chunk { records, is_compressed: record.is_compressed, has_index: false };
            }
            Some(Op::IndexData) if is_whole => {
                self.chunk.has_index = true;
                index_data(reader, &record, self.draft)?;
            }
            Some(Op::Connection) if is_whole => record.connect(reader, self.draft)?,
            Some(Op::Message) if is_whole => message(&record, self.draft)?,
            Some(_) => {}
        }
        Ok(record.data.end)
    }

    /// Returns whether the records in the latest chunk tell nothing new.
    fn knows_chunk(&self) -> bool {
        self.chunk.has_index && self.draft.knows_all()
    }

    /// Reads the records in the latest chunk, if they tell more than the index data after it.
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
        let mut at = records.start;
        while at < records.end && !self.knows_chunk() {
            let record = Record::read(reader, at, records.end)?;
            if record.data.end > records.end {
                return Err(Stop::End);
            }
            match record.op {
                Some(Op::Connection) => record.connect(reader, self.draft)?,
                Some(Op::Message) if self.chunk.has_index => {}
                Some(Op::Message) => message(&record, self.draft)?,
                _ => return Err(Fault::Record.into()),
            }
            at = record.data.end;
        }
        Ok(())
    }
}

fn message(record: &Record, draft: &mut Draft) -> Result<(), Stop> {
    let (Some(connection), Some(time)) = (record.connection, record.time) else {
        return Err(Fault::Record.into());
    };
    draft.count(connection, 1);
    draft.span(time, time);
    Ok(())
}

/// Adds the messages that index data name. They belong to one connection of the chunk before.
fn index_data(reader: &mut Reader<'_>, record: &Record, draft: &mut Draft) -> Result<(), Stop> {
    let connection = record.connection.ok_or(Fault::Record)?;
    let entries = record.entries(ENTRY_BYTES).ok_or(Fault::Record)?;
    draft.count(connection, entries.into());
    for entry in 0..u64::from(entries) {
        let bytes = reader.bytes(record.data.start + entry * ENTRY_BYTES, TIME_BYTES)?;
        let time = time_of(bytes).ok_or(Fault::Record)?;
        draft.span(time, time);
    }
    Ok(())
}
