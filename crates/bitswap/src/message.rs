//! Checked messages, with their encoder and decoder.
use bytes::Bytes;
use cid::{Cid, multihash::Multihash};
use prost::Message as _;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::{MAX_BLOCK_BYTES, MAX_MESSAGE_BYTES, prefix, wire};

/// Maximum number of wantlist entries in a message. The same limit holds for its blocks and for its presences.
pub const MAX_ITEMS: usize = 16_384;

/// The kind of answer that a wantlist entry requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WantType {
    /// The block itself.
    Block,
    /// Only whether the peer has the block.
    Have,
}

/// One change to the sender's wantlist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// CID of the wanted block.
    pub cid: Cid,
    /// Priority of the want: higher is more urgent. Compared only with other entries of the same sender.
    pub priority: i32,
    /// If true, the want is cancelled, and the fields below have no meaning.
    pub cancel: bool,
    /// The kind of answer that is requested.
    pub want_type: WantType,
    /// Whether the sender requests a DONT_HAVE if the receiver does not have the block.
    pub send_dont_have: bool,
}

impl Entry {
    /// Creates a want of priority 1 that requests a DONT_HAVE if the block is missing.
    pub fn want(cid: Cid, want_type: WantType) -> Self {
        Self { cid, priority: 1, cancel: false, want_type, send_dont_have: true }
    }

    /// Creates the cancellation of a want.
    pub fn cancel(cid: Cid) -> Self {
        Self { cid, priority: 0, cancel: true, want_type: WantType::Block, send_dont_have: false }
    }
}

/// A block with its CID. The digest in the CID matches the data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// CID of the block. In a received block it is computed from the prefix and the data.
    pub cid: Cid,
    /// The block's bytes, at most [`MAX_BLOCK_BYTES`] of them.
    pub data: Bytes,
}

/// The statement that the sender has, or does not have, a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presence {
    /// CID of the block.
    pub cid: Cid,
    /// True for HAVE, false for DONT_HAVE.
    pub have: bool,
}

/// One Bitswap message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// If true, the entries replace all earlier wants of the sender.
    pub full: bool,
    /// Changes to the sender's wants.
    pub wantlist: Vec<Entry>,
    /// Blocks that the receiver wanted.
    pub blocks: Vec<Block>,
    /// Answers to the receiver's wants.
    pub presences: Vec<Presence>,
    /// Number of block bytes that the sender still has queued for the receiver.
    pub pending_bytes: u32,
    /// Number of entries, blocks and presences that the decoder skipped, because their CID or prefix is malformed or
    /// of an unknown kind. Always 0 in messages that are sent.
    pub skipped: usize,
}

impl Message {
    /// Returns whether the message has nothing to send. `pending_bytes` alone is not worth a message.
    pub fn is_empty(&self) -> bool {
        !self.full && self.wantlist.is_empty() && self.blocks.is_empty() && self.presences.is_empty()
    }
}

/// The reason why bytes are rejected as a message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The message is longer than [`MAX_MESSAGE_BYTES`].
    #[error("the message has {0} bytes, more than {MAX_MESSAGE_BYTES}")]
    TooLong(usize),
    /// The message has more than [`MAX_ITEMS`] items of one kind.
    #[error("the message has more than {MAX_ITEMS} {0}")]
    TooMany(&'static str),
    /// A block is larger than [`MAX_BLOCK_BYTES`].
    #[error("a block has {0} bytes, more than {MAX_BLOCK_BYTES}")]
    BlockTooLarge(usize),
    /// The length of a field exceeds the remaining bytes.
    #[error("a field is longer than its message")]
    Truncated,
    /// The bytes are not protobuf, or not this protobuf message.
    #[error("the message is malformed: {0}")]
    Malformed(#[from] prost::DecodeError),
}

/// Decodes a message from untrusted bytes, without the length prefix that a stream has. Copies the bytes;
/// [`decode_shared`] does not.
///
/// # Errors
/// Returns an error if the message exceeds a limit or is not valid protobuf. Single malformed items are no error: they are
/// skipped and counted in [`Message::skipped`].
pub fn decode(bytes: &[u8]) -> Result<Message, DecodeError> {
    decode_shared(Bytes::copy_from_slice(bytes))
}

/// Decodes a message as [`decode`] does, but without copying: the blocks share the memory of `bytes`.
///
/// # Errors
/// Returns the same errors as [`decode`].
pub fn decode_shared(bytes: Bytes) -> Result<Message, DecodeError> {
    if bytes.len() > MAX_MESSAGE_BYTES {
        return Err(DecodeError::TooLong(bytes.len()));
    }
    check_counts(&bytes)?;
    typed(wire::Message::decode(bytes)?)
}

/// Encodes a message, without the length prefix that a stream has.
pub fn encode(message: &Message) -> Bytes {
    raw(message).encode_to_vec().into()
}

/// Encodes a message for a stream: its length as an unsigned varint, then the message.
pub fn encode_delimited(message: &Message) -> Bytes {
    raw(message).encode_length_delimited_to_vec().into()
}

/// Returns whether the hash function of `hash` is known, so that blocks with this hash can be verified.
pub fn can_verify(hash: &Multihash<64>) -> bool {
    prefix::is_known(hash)
}

/// Returns whether `data` has the digest of `hash`. Returns false if the hash function is unknown.
pub fn verify(hash: &Multihash<64>, data: &[u8]) -> bool {
    prefix::matches(hash, data)
}

/// Checks the number of repeated fields before memory is allocated for them.
///
/// An empty entry takes two bytes on the wire and sixty in memory. Without this check, a hostile message of 4 MiB would
/// take more than 100 MB.
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

/// Parses a CID that takes up all of `bytes`. Accepting trailing bytes would give one block many names.
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
