//! A record of an MCAP file: a number for its kind, a length, and content.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::Fault;
use crate::description::{MAX_NAME_CHARS, MAX_TOPICS};
use crate::draft::Draft;
use crate::reader::{MAX_TAKEN, Reader, Stop};

/// Size of the begin of each record, in bytes.
pub(super) const HEADER_BYTES: u64 = 9;
/// Size of the content of a footer, in bytes.
pub(super) const FOOTER_BYTES: u64 = 20;
/// Number of bytes of a text that are read. The rest of a longer one is skipped.
const TEXT_BYTES: usize = 4 * MAX_NAME_CHARS + 4;
const _: () = assert!(TEXT_BYTES <= MAX_TAKEN, "a text fits into the window");

/// Numbers of the kinds of records that a description needs.
pub(super) struct Op;

impl Op {
    pub(super) const FOOTER: u8 = 0x02;
    pub(super) const SCHEMA: u8 = 0x03;
    pub(super) const CHANNEL: u8 = 0x04;
    pub(super) const MESSAGE: u8 = 0x05;
    pub(super) const CHUNK: u8 = 0x06;
    pub(super) const MESSAGE_INDEX: u8 = 0x07;
    pub(super) const CHUNK_INDEX: u8 = 0x08;
    pub(super) const STATISTICS: u8 = 0x0b;
    pub(super) const DATA_END: u8 = 0x0f;
}

/// A record. Its content may end after the end of the file.
pub(super) struct Record {
    pub(super) op: u8,
    pub(super) content: Range<u64>,
}

impl Record {
    /// Reads the begin of the record at this place, which must end before `end`.
    pub(super) fn read(reader: &mut Reader<'_>, at: u64, end: u64) -> Result<Self, Stop> {
        let start = at.checked_add(HEADER_BYTES).filter(|start| *start <= end).ok_or(Stop::End)?;
        let op = reader.u8(at)?;
        let length = reader.u64(at + 1)?;
        if op == 0 {
            return Err(Fault::Record.into());
        }
        Ok(Self { op, content: start..start.saturating_add(length) })
    }

    /// Returns the fields of the content.
    pub(super) fn fields<'a, 'b>(&self, reader: &'a mut Reader<'b>) -> Fields<'a, 'b> {
        Fields { reader, at: self.content.start, end: self.content.end }
    }
}

/// Reads the fields of a record, one after another. A field that ends after the record is a fault.
pub(super) struct Fields<'a, 'b> {
    reader: &'a mut Reader<'b>,
    at: u64,
    end: u64,
}

impl Fields<'_, '_> {
    /// Returns the place of the next bytes, and goes behind them.
    pub(super) fn skip(&mut self, bytes: u64) -> Result<Range<u64>, Stop> {
        let end = self.at.checked_add(bytes).filter(|end| *end <= self.end).ok_or(Fault::Record)?;
        let place = self.at..end;
        self.at = end;
        Ok(place)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Stop> {
        let at = self.skip(2)?.start;
        self.reader.u16(at)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Stop> {
        let at = self.skip(4)?.start;
        self.reader.u32(at)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Stop> {
        let at = self.skip(8)?.start;
        self.reader.u64(at)
    }

    /// Returns the place of a field whose length stands before it in 32 bits.
    pub(super) fn sized(&mut self) -> Result<Range<u64>, Stop> {
        let length = self.u32()?;
        self.skip(length.into())
    }

    /// Returns the begin of a text.
    pub(super) fn text(&mut self) -> Result<Vec<u8>, Stop> {
        let place = self.sized()?;
        let length = usize::try_from(place.end - place.start).unwrap_or(usize::MAX);
        self.reader.bytes(place.start, length.min(TEXT_BYTES)).map(<[u8]>::to_vec)
    }
}

/// The names of schemas, by which channels name the types of their messages.
#[derive(Default)]
pub(super) struct Names {
    schemas: BTreeMap<u16, Vec<u8>>,
    /// Topics of the channels whose schema is not known yet.
    untyped: BTreeMap<u16, Vec<u8>>,
}

impl Names {
    /// Adds the schema or the channel of a record.
    pub(super) fn add(
        &mut self,
        reader: &mut Reader<'_>,
        record: &Record,
        draft: &mut Draft,
    ) -> Result<(), Stop> {
        let mut fields = record.fields(reader);
        let id = fields.u16()?;
        if record.op == Op::SCHEMA {
            draft.is_partial |= !put(&mut self.schemas, id, fields.text()?);
            return Ok(());
        }
        let schema = fields.u16()?;
        let topic = fields.text()?;
        let message_type = self.schemas.get(&schema).map(Vec::as_slice);
        // Schema 0 stands for messages without a schema.
        let Some(message_type) = message_type.or((schema == 0).then_some(&[])) else {
            draft.is_partial |= !draft.knows(id.into()) && !put(&mut self.untyped, id, topic);
            return Ok(());
        };
        self.untyped.remove(&id);
        draft.connect(id.into(), &topic, message_type)
    }

    /// Returns whether the schemas of all channels are known.
    pub(super) fn is_complete(&self) -> bool {
        self.untyped.is_empty()
    }

    /// Adds the channels whose schema was not found.
    pub(super) fn finish(self, draft: &mut Draft) -> Result<(), Stop> {
        self.untyped.iter().try_for_each(|(id, topic)| draft.connect((*id).into(), topic, &[]))
    }
}

/// Adds a name, if there is room: there are not more types and channels than topics. Returns whether there was.
fn put(names: &mut BTreeMap<u16, Vec<u8>>, id: u16, name: Vec<u8>) -> bool {
    let has_room = names.len() < MAX_TOPICS || names.contains_key(&id);
    if has_room {
        names.insert(id, name);
    }
    has_room
}
