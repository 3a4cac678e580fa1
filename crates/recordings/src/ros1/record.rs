//! A record of a bag: a header of fields, and data.

use std::ops::Range;

use crate::Fault;
use crate::description::{MAX_NAME_CHARS, Timestamp};
use crate::draft::Draft;
use crate::reader::{MAX_TAKEN, Reader, Stop};

/// Number of bytes of a field that are read. Longer fields, such as definitions of messages, are skipped.
const FIELD_BYTES: usize = 4 * MAX_NAME_CHARS + 32;
const _: () = assert!(FIELD_BYTES <= MAX_TAKEN, "a field fits into the window");

/// Kind of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Message,
    BagHeader,
    IndexData,
    Chunk,
    ChunkInfo,
    Connection,
}

impl Op {
    fn of(number: u8) -> Option<Self> {
        match number {
            0x02 => Some(Self::Message),
            0x03 => Some(Self::BagHeader),
            0x04 => Some(Self::IndexData),
            0x05 => Some(Self::Chunk),
            0x06 => Some(Self::ChunkInfo),
            0x07 => Some(Self::Connection),
            _ => None,
        }
    }
}

/// A record, with the fields of its header that a description needs. Unknown fields are ignored.
#[derive(Debug, Default)]
pub(super) struct Record {
    pub(super) op: Option<Op>,
    /// Place of the data. The end may be after the end of the file.
    pub(super) data: Range<u64>,
    pub(super) index_pos: Option<u64>,
    pub(super) connections: Option<u32>,
    pub(super) chunks: Option<u32>,
    pub(super) connection: Option<u32>,
    pub(super) count: Option<u32>,
    pub(super) version: Option<u32>,
    pub(super) time: Option<Timestamp>,
    pub(super) start_time: Option<Timestamp>,
    pub(super) end_time: Option<Timestamp>,
    pub(super) chunk_pos: Option<u64>,
    pub(super) is_compressed: bool,
    topic: Vec<u8>,
}

impl Record {
    /// Reads the header of the record at this place. The header must end before `end`; the data may be longer.
    pub(super) fn read(reader: &mut Reader<'_>, at: u64, end: u64) -> Result<Self, Stop> {
        let header = sized(reader, at, end)?;
        if header.end > end {
            return Err(Stop::End);
        }
        let mut record = Self { data: sized(reader, header.end, end)?, ..Self::default() };
        each_field(reader, header, |name, value| record.set(name, value))?;
        Ok(record)
    }

    fn set(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"op" => self.op = value.first().and_then(|number| Op::of(*number)),
            b"index_pos" => self.index_pos = u64_of(value),
            b"conn_count" => self.connections = u32_of(value),
            b"chunk_count" => self.chunks = u32_of(value),
            b"conn" => self.connection = u32_of(value),
            b"count" => self.count = u32_of(value),
            b"ver" => self.version = u32_of(value),
            b"time" => self.time = time_of(value),
            b"start_time" => self.start_time = time_of(value),
            b"end_time" => self.end_time = time_of(value),
            b"chunk_pos" => self.chunk_pos = u64_of(value),
            b"compression" => self.is_compressed = value != b"none",
            b"topic" => self.topic = value.to_vec(),
            _ => {}
        }
    }

    /// Returns the number of entries of an index record: its count, if the data have exactly so many entries.
    pub(super) fn entries(&self, entry_bytes: u64) -> Option<u32> {
        let bytes = self.data.end - self.data.start;
        self.count.filter(|count| self.version == Some(1) && u64::from(*count) * entry_bytes == bytes)
    }

    /// Adds the connection of a connection record. The message type is a field of its data.
    pub(super) fn connect(&self, reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Stop> {
        let id = self.connection.ok_or(Fault::Record)?;
        let mut message_type = Vec::new();
        each_field(reader, self.data.clone(), |name, value| {
            if name == b"type" {
                message_type = value.to_vec();
            }
        })?;
        draft.connect(id, &self.topic, &message_type)
    }
}

/// Reads a length at this place. Returns the place of as many bytes behind it.
fn sized(reader: &mut Reader<'_>, at: u64, end: u64) -> Result<Range<u64>, Stop> {
    let start = at.checked_add(4).filter(|start| *start <= end).ok_or(Stop::End)?;
    let length = reader.u32(at)?;
    Ok(start..start + u64::from(length))
}

/// Visits each field of a header: its name, and the begin of its value.
fn each_field(
    reader: &mut Reader<'_>,
    header: Range<u64>,
    mut visit: impl FnMut(&[u8], &[u8]),
) -> Result<(), Stop> {
    let mut at = header.start;
    while at < header.end {
        let field = sized(reader, at, header.end).map_err(|stop| match stop {
            Stop::End => Stop::Fault(Fault::Record),
            stop => stop,
        })?;
        if field.end > header.end {
            return Err(Fault::Record.into());
        }
        let length = usize::try_from(field.end - field.start).unwrap_or(usize::MAX);
        let shown = reader.bytes(field.start, length.min(FIELD_BYTES))?;
        let split = shown.iter().position(|byte| *byte == b'=').ok_or(Fault::Record)?;
        visit(&shown[..split], &shown[split + 1..]);
        at = field.end;
    }
    Ok(())
}

fn u32_of(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_le_bytes)
}

fn u64_of(value: &[u8]) -> Option<u64> {
    value.try_into().ok().map(u64::from_le_bytes)
}

/// Returns a time of ROS: seconds and nanoseconds of 32 bits each.
pub(super) fn time_of(value: &[u8]) -> Option<Timestamp> {
    let (seconds, nanoseconds) = value.split_at_checked(4)?;
    let seconds = u64::from(u32_of(seconds)?) * Timestamp::SECOND;
    Some(Timestamp(seconds + u64::from(u32_of(nanoseconds)?)))
}
