//! Checked messages, and their way from and to bytes.
use bytes::Bytes;
use cid::{Cid, multihash::Multihash};
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::{MAX_BLOCK_BYTES, MAX_MESSAGE_BYTES, prefix, wire};

/// The most wantlist entries, blocks and presences (each) that one message may hold.
pub const MAX_ITEMS: usize = 16_384;

/// What a wantlist entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WantType {
    /// The block itself.
    Block,
    /// Only whether the peer has it.
    Have,
}

/// One change of the sender's wantlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The block it is about.
    pub cid: Cid,
    /// Higher is wanted sooner; compared only with other entries of the same sender.
    pub priority: i32,
    /// True ends the want, and the fields below mean nothing.
    pub cancel: bool,
    /// What is wanted.
    pub want_type: WantType,
    /// Whether the sender wants to be told that the block is not there.
    pub send_dont_have: bool,
}

impl Entry {
    /// A want that asks to be told also when the block is not there.
    pub fn want(cid: Cid, want_type: WantType) -> Self {
        Self { cid, priority: 1, cancel: false, want_type, send_dont_have: true }
    }

    /// The end of a want.
    pub fn cancel(cid: Cid) -> Self {
        Self { cid, priority: 0, cancel: true, want_type: WantType::Block, send_dont_have: false }
    }
}

/// A block under the CID that its data really has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Computed from the prefix and the data when it came from the wire.
    pub cid: Cid,
    /// At most [`MAX_BLOCK_BYTES`].
    pub data: Bytes,
}

/// Whether the sender has a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// The block it is about.
    pub cid: Cid,
    /// True for HAVE, false for DONT_HAVE.
    pub have: bool,
}

/// One Bitswap message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// The entries replace everything that the sender wanted before.
    pub full: bool,
    /// Changes to what the sender wants.
    pub wantlist: Vec<Entry>,
    /// Blocks that the receiver wanted.
    pub blocks: Vec<Block>,
    /// Answers to wants.
    pub presences: Vec<Presence>,
    /// How many bytes of blocks the sender still has queued for the receiver.
    pub pending_bytes: u32,
    /// How many entries, blocks and presences were left out while reading, because their CID or prefix is broken or
    /// of a kind not known here. Always 0 in messages that are sent.
    pub skipped: usize,
}

impl Message {
    /// True when there is nothing in it that is worth a message.
    pub fn is_empty(&self) -> bool {
        !self.full && self.wantlist.is_empty() && self.blocks.is_empty() && self.presences.is_empty()
    }
}

/// Why bytes are no message that is accepted.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Longer than [`MAX_MESSAGE_BYTES`].
    #[error("the message has {0} bytes, more than {MAX_MESSAGE_BYTES}")]
    TooLong(usize),
    /// More than [`MAX_ITEMS`] of one kind.
    #[error("the message has more than {MAX_ITEMS} {0}")]
    TooMany(&'static str),
    /// A block of more than [`MAX_BLOCK_BYTES`].
    #[error("a block has {0} bytes, more than {MAX_BLOCK_BYTES}")]
    BlockTooLarge(usize),
    /// A field that says to be longer than what is there.
    #[error("a field is longer than its message")]
    Truncated,
    /// Not protobuf, or not of this shape.
    #[error("the message is not readable: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// Reads a message that a stranger sent (without the length that stands before it on a stream). Copies the bytes;
/// [`decode_shared`] does not.
///
/// # Errors
/// Whatever breaks a limit or the protobuf shape. Single entries that are broken are left out and counted.
pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    decode_shared(Bytes::copy_from_slice(bytes))
}

/// As [`decode`]; the blocks of the message share the memory of `bytes`.
///
/// # Errors
/// As [`decode`].
pub fn decode_shared(bytes: Bytes) -> Result<Message, DecodeError> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(DecodeError::TooLong(bytes.len()));
    }
    check_counts(&bytes)?;
    typed(wire::Message::decode(bytes)?)
}

/// Writes a message, without the length that stands before it on a stream.
pub fn encode(message: &Message) -> Bytes {
    raw(message).encode_to_vec().into()
}

/// Writes a message as it stands on a stream: with its length before it, an unsigned varint.
pub fn encode_delimited(message: &Message) -> Bytes {
    raw(message).encode_length_delimited_to_vec().into()
}

/// Whether blocks with this hash can be checked: its function is known here.
pub fn can_verify(hash: &Multihash<64>) -> bool {
    prefix::is_known(hash)
}

/// True when `data` hashes to the digest of `hash`.
pub fn verify(hash: &Multihash<64>, data: &[u8]) -> bool {
    prefix::matches(hash, data)
}

/// Counts the repeated fields before anything is allocated for them: an empty entry is two bytes on the wire and
/// sixty in memory, so a hostile message of 4 MiB would otherwise cost more than 100 MB.
fn check_counts(bytes: &[u8]) -> Result<(), DecodeError> {
    let (mut entries, mut blocks, mut presences) = (0, 0, 0);
    for_each_field(bytes, |tag, body| {
        match tag {
            1 => for_each_field(body, |tag, _| {
                entries += usize::from(tag == 1);
                limit(entries, "wantlist entries")
            })?,
            3 => blocks += 1,
            4 => presences += 1,
            _ => {}
        }
        limit(blocks, "blocks")?;
        limit(presences, "presences")
    })
}

fn limit(count: usize, what: &'static str) -> Result<(), DecodeError> {
    if count > MAX_ITEMS { Err(DecodeError::TooMany(what)) } else { Ok(()) }
}

/// Calls `visit` with the tag and the bytes of each length-delimited field.
fn for_each_field(
    mut bytes: &[u8],
    mut visit: impl FnMut(u32, &[u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    while !bytes.is_empty() {
        let (tag, wire_type) = decode_key(&mut bytes)?;
        if wire_type == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut bytes)?).unwrap_or(usize::MAX);
            let (body, rest) = bytes.split_at_checked(length).ok_or(DecodeError::Truncated)?;
            visit(tag, body)?;
            bytes = rest;
        } else {
            skip_field(wire_type, tag, &mut bytes, DecodeContext::default())?;
        }
    }
    Ok(())
}

fn typed(message: wire::Message) -> Result<Message, DecodeError> {
    let wantlist = message.wantlist.unwrap_or_default();
    if let Some(block) = message.payload.iter().find(|block| block.data.len() > MAX_BLOCK_BYTES) {
        return Err(DecodeError::BlockTooLarge(block.data.len()));
    }
    let items = wantlist.entries.len() + message.payload.len() + message.presences.len();
    let mut typed = Message {
        full: wantlist.full,
        wantlist: wantlist.entries.into_iter().filter_map(entry).collect(),
        blocks: message.payload.into_iter().filter_map(block).collect(),
        presences: message.presences.into_iter().filter_map(presence).collect(),
        pending_bytes: u32::try_from(message.pending_bytes).unwrap_or(0),
        skipped: 0,
    };
    typed.skipped = items - typed.wantlist.len() - typed.blocks.len() - typed.presences.len();
    Ok(typed)
}

fn entry(entry: wire::Entry) -> Option<Entry> {
    let want_type = if entry.want_type == 0 { WantType::Block } else { WantType::Have };
    Some(Entry {
        cid: cid(&entry.cid)?,
        priority: entry.priority,
        cancel: entry.cancel,
        want_type,
        send_dont_have: entry.send_dont_have,
    })
}

fn block(block: wire::Block) -> Option<Block> {
    Some(Block { cid: prefix::cid_of(block.prefix, &block.data)?, data: block.data })
}

fn presence(presence: wire::Presence) -> Option<Presence> {
    Some(Presence { cid: cid(&presence.cid)?, have: presence.kind == 0 })
}

/// A CID that is alone in its bytes: trailing ones would let one block have many names.
fn cid(bytes: &[u8]) -> Option<Cid> {
    let cid = Cid::try_from(bytes).ok()?;
    (cid.encoded_len() == bytes.len()).then_some(cid)
}

fn raw(message: &Message) -> wire::Message {
    let entries: Vec<_> = message.wantlist.iter().map(raw_entry).collect();
    wire::Message {
        wantlist: (message.full || !entries.is_empty())
            .then_some(wire::Wantlist { entries, full: message.full }),
        payload: message.blocks.iter().map(raw_block).collect(),
        presences: message.presences.iter().map(raw_presence).collect(),
        pending_bytes: i32::try_from(message.pending_bytes).unwrap_or(i32::MAX),
    }
}

fn raw_entry(entry: &Entry) -> wire::Entry {
    wire::Entry {
        cid: entry.cid.to_bytes().into(),
        priority: entry.priority,
        cancel: entry.cancel,
        want_type: i32::from(entry.want_type == WantType::Have),
        send_dont_have: entry.send_dont_have,
    }
}

fn raw_block(block: &Block) -> wire::Block {
    wire::Block { prefix: prefix::encode(&block.cid), data: block.data.clone() }
}

fn raw_presence(presence: &Presence) -> wire::Presence {
    wire::Presence { cid: presence.cid.to_bytes().into(), kind: i32::from(!presence.have) }
}

#[cfg(test)]
mod tests;
