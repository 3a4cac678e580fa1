//! The index of a closed bag.

use std::ops::Range;

use super::record::{Op, Record};
use crate::Fault;
use crate::draft::Draft;
use crate::reader::{Reader, Stop};

/// Maximum number of chunks whose places are checked. Each check costs a read.
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
        Ok(record) if record.op == Some(op) && record.data.end <= reader.size() => Ok(record),
        Ok(_) | Err(Stop::End | Stop::Fault(_)) => Err(Fault::Index.into()),
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
        count(reader, &info, draft)?;
        if number % checked_step == 0 || number == chunks - 1 {
            check_chunk(reader, place, content.end)?;
        }
        at = info.data.end;
    }
    Ok(at)
}

/// Adds the messages of one chunk.
fn count(reader: &mut Reader<'_>, info: &Record, draft: &mut Draft) -> Result<(), Stop> {
    let (Some(from), Some(until)) = (info.start_time, info.end_time) else {
        return Err(Fault::Index.into());
    };
    let entries = info.entries(ENTRY_BYTES).ok_or(Fault::Index)?;
    let mut messages: u64 = 0;
    for entry in 0..u64::from(entries) {
        let at = info.data.start + entry * ENTRY_BYTES;
        let (connection, count) = (reader.u32(at)?, reader.u32(at + 4)?);
        draft.count(connection, count.into());
        messages += u64::from(count);
    }
    // Some writers give a chunk without messages the time 0.
    if messages > 0 {
        if from > until {
            return Err(Fault::IndexFalse.into());
        }
        draft.span(from, until);
    }
    Ok(())
}

/// Checks that a whole chunk is at this place.
fn check_chunk(reader: &mut Reader<'_>, at: u64, end: u64) -> Result<(), Stop> {
    match Record::read(reader, at, end) {
        Ok(chunk) if chunk.op == Some(Op::Chunk) && chunk.data.end <= end => Ok(()),
        Ok(_) | Err(Stop::End | Stop::Fault(_)) => Err(Fault::IndexFalse.into()),
        Err(stop) => Err(stop),
    }
}
