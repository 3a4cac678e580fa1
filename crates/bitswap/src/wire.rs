//! The protobuf shapes of Bitswap 1.2.0 as they lie on the wire, without any check.
use bytes::Bytes;

/// One wish, or the end of one.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Entry {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) cid: Bytes,
    #[prost(int32, tag = "2")]
    pub(crate) priority: i32,
    #[prost(bool, tag = "3")]
    pub(crate) cancel: bool,
    /// 0 asks for the block, 1 only whether the peer has it.
    #[prost(int32, tag = "4")]
    pub(crate) want_type: i32,
    #[prost(bool, tag = "5")]
    pub(crate) send_dont_have: bool,
}

/// Changes to what the sender wants; with `full`, everything that it wants.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Wantlist {
    #[prost(message, repeated, tag = "1")]
    pub(crate) entries: Vec<Entry>,
    #[prost(bool, tag = "2")]
    pub(crate) full: bool,
}

/// A block, named by what cannot be computed from its data: version, codec, hash function.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Block {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) prefix: Bytes,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) data: Bytes,
}

/// The answer whether the sender has a block.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Presence {
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) cid: Bytes,
    /// 0 has it, 1 does not.
    #[prost(int32, tag = "2")]
    pub(crate) kind: i32,
}

/// The message. Tag 2 carried blocks without prefix in Bitswap 1.0 and is skipped.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Message {
    #[prost(message, optional, tag = "1")]
    pub(crate) wantlist: Option<Wantlist>,
    #[prost(message, repeated, tag = "3")]
    pub(crate) payload: Vec<Block>,
    #[prost(message, repeated, tag = "4")]
    pub(crate) presences: Vec<Presence>,
    #[prost(int32, tag = "5")]
    pub(crate) pending_bytes: i32,
}
