//! Bags of ROS 1, version 2.0 (<http://wiki.ros.org/Bags/Format/2.0>).
//!
//! A bag is a sequence of records. The first one names the place of the index, which is at the end: all connections, and
//! for each chunk its time and the numbers of its messages. So a closed bag is described from its end, without any chunk.
//! A bag that was not closed has 0 as the place of the index. Its chunks are visited one after another, and the index data
//! after each chunk tell the numbers of its messages.

mod index;
mod record;
mod walk;

use crate::Fault;
use crate::draft::Draft;
use crate::reader::{Reader, Stop};
use record::{Op, Record};
use walk::Walk;

/// Begin of the bags of all versions.
pub(crate) const BEGIN: &[u8] = b"#ROSBAG V";
/// Begin of a bag of version 2.0.
const MAGIC: &[u8] = b"#ROSBAG V2.0\n";

/// Reads a bag.
pub(crate) fn read(reader: &mut Reader<'_>, draft: &mut Draft) -> Result<(), Stop> {
    if reader.up_to(0, MAGIC.len())? != MAGIC {
        return Err(Fault::Version.into());
    }
    let start = MAGIC.len() as u64;
    let header = match Record::read(reader, start, reader.size()) {
        Ok(header) if header.op == Some(Op::BagHeader) && header.data.end <= reader.size() => header,
        Err(Stop::Fault(_)) | Ok(_) => return Err(Fault::Header.into()),
        Err(stop) => return Err(stop),
    };
    let content = header.data.end;
    if header.index_pos == Some(0) {
        draft.is_cut = true;
        return Walk::new(draft).read(reader, content);
    }
    let (fault, is_cut) = match index::read(reader, &header, draft) {
        Err(Stop::Fault(fault)) => (fault, fault == Fault::IndexOutside),
        Err(Stop::End) => (Fault::Index, true),
        result => return result,
    };
    // The chunks tell the same as the index, only slower.
    *draft = Draft::after(fault);
    draft.is_cut = is_cut;
    Walk::new(draft).read(reader, content)
}

#[cfg(test)]
mod tests;
