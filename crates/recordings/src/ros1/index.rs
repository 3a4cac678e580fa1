//! The index of a closed bag.

use std::collections::BTreeMap;
use std::ops::Range;

use super::record::{Op, Record};
use crate::Fault;
use crate::draft::{Draft, MAX_CONNECTIONS};
use crate::reader::{Reader, Stop};

/// Maximum number of chunks whose places and numbers of messages are checked. Each check costs two reads.
const CHECKED_CHUNKS: u32 = 64;
/// Size of an entry of a chunk's information, in bytes: the numbers of a connection and of its messages.
const ENTRY_BYTES: u64 = 8;

/// Reads the index that the header of the bag names.
pub(super) fn read(reader: &mut Reader<'_>, header: &Record, draft: &mut Draft) -> Result<(), Stop> {
    let (Some(start), Some(connections), Some(chunks)) =
        (header.index_pos, header.connections, header.chunks)
    else {
        return Err(Fault::Header.into());
    };
    let content = header.data.end..start;
    if start < content.start || start > reader.size() {
        return Err(Fault::IndexOutside.into());
    }
    let mut at = start;
    for _ in 0..connections {
        let record = record(reader, at, Op::Connection)?;
        record.connect(reader, draft)?;
        at = record.data.end;
    }
    let end = read_chunks(reader, at, chunks, &content, draft)?;
    // An index with fewer entries than the bag has chunks would hide the others.
    let hides = end != reader.size() || (chunks == 0 && !content.is_empty());
    if hides || !draft.knows_all() { Err(Fault::IndexFalse.into()) } else { Ok(()) }
}

/// Reads a record of the index, which has to be complete and of this kind.
fn record(reader: &mut Reader<'_>, at: u64, op: Op) -> Result<Record, Stop> {
    match Record::read(reader, at, reader.size()) {
        Ok(record) if record.data.end > reader.size() => Err(Stop::End),
        Ok(record) if record.op == Some(op) => Ok(record),
        Ok(_) | Err(Stop::Fault(_)) => Err(Fault::Index.into()),
        Err(stop) => Err(stop),
    }
}

/// Reads the information about all chunks. Returns the place behind it.
fn read_chunks(
    reader: &mut Reader<'_>,
    mut at: u64,
    chunks: u32,
    content: &Range<u64>,
    draft: &mut Draft,
) -> Result<u64, Stop> {
    let checked_step = chunks.div_ceil(CHECKED_CHUNKS).max(1);
    // Writers name the chunks in their order. With this rule no chunk counts twice.
    let mut next = content.start;
    for number in 0..chunks {
        let info = record(reader, at, Op::ChunkInfo)?;
        let place = info.chunk_pos.ok_or(Fault::Index)?;
        if !(next..content.end).contains(&place) {
            return Err(Fault::IndexFalse.into());
        }
        next = place + 1;
        let is_checked = number % checked_step == 0 || number == chunks - 1;
        let counts = count(reader, &info, is_checked, draft)?;
        if is_checked && counts != index_data(reader, place, content.end)? {
            return Err(Fault::IndexFalse.into());
        }
        at = info.data.end;
    }
    Ok(at)
}

/// Numbers of messages of some connections.
type Counts = BTreeMap<u32, u64>;

/// Adds the messages of one chunk. Returns their numbers if they are to be checked.
fn count(
    reader: &mut Reader<'_>,
    info: &Record,
    is_checked: bool,
    draft: &mut Draft,
) -> Result<Counts, Stop> {
    let (Some(from), Some(until)) = (info.start_time, info.end_time) else {
        return Err(Fault::Index.into());
    };
    let entries = info.entries(ENTRY_BYTES).ok_or(Fault::Index)?;
    let mut messages: u64 = 0;
    let mut counts = Counts::new();
    for entry in 0..u64::from(entries) {
        let at = info.data.start + entry * ENTRY_BYTES;
        let (connection, count) = (reader.u32(at)?, reader.u32(at + 4)?.into());
        draft.count(connection, count);
        messages += count;
        if is_checked && count > 0 {
            add(&mut counts, connection, count)?;
        }
    }
    // Some writers give a chunk without messages the time 0.
    if messages > 0 {
        if from > until {
            return Err(Fault::IndexFalse.into());
        }
        draft.span(from, until);
    }
    Ok(counts)
}

/// Returns the numbers of messages by the index data after the chunk at this place.
fn index_data(reader: &mut Reader<'_>, at: u64, end: u64) -> Result<Counts, Stop> {
    let chunk = content_record(reader, at, end)?;
    if chunk.op != Some(Op::Chunk) {
        return Err(Fault::IndexFalse.into());
    }
    let mut counts = Counts::new();
    let mut at = chunk.data.end;
    while at < end {
        let record = content_record(reader, at, end)?;
        if record.op != Some(Op::IndexData) {
            break;
        }
        if let (Some(connection), Some(count @ 1..)) = (record.connection, record.count) {
            add(&mut counts, connection, count.into())?;
        }
        at = record.data.end;
    }
    Ok(counts)
}

/// Reads a record between the header and the index of the bag.
fn content_record(reader: &mut Reader<'_>, at: u64, end: u64) -> Result<Record, Stop> {
    match Record::read(reader, at, end) {
        Ok(record) if record.data.end <= end => Ok(record),
        Ok(_) | Err(Stop::End | Stop::Fault(_)) => Err(Fault::IndexFalse.into()),
        Err(stop) => Err(stop),
    }
}

fn add(counts: &mut Counts, connection: u32, count: u64) -> Result<(), Stop> {
    if counts.len() >= MAX_CONNECTIONS {
        return Err(Fault::IndexFalse.into());
    }
    *counts.entry(connection).or_default() += count;
    Ok(())
}
