//! Reads nodes of a DAG: raw blocks, and dag-pb blocks with UnixFS inside. The input is not trusted.
//!
//! Formats: ipld.io/specs/codecs/dag-pb and specs.ipfs.tech/unixfs.
use bytes::Bytes;
use cid::Cid;
use prost::Message as _;
use prost::encoding::{self, DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// Codec of blocks that are plain bytes.
pub const RAW: u64 = 0x55;
/// Codec of blocks that have links.
pub const DAG_PB: u64 = 0x70;

/// Maximum number of links of one node. Kubo puts 174 links into a node of a file, and up to 256 KiB of names into a
/// directory.
pub const MAX_LINKS: usize = 20_000;

/// Error that occurs when a block is read as a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DagError {
    /// The codec is neither raw nor dag-pb.
    #[error("{0} has the codec {1:#x}, which is not supported")]
    Codec(Cid, u64),
    /// The block is not valid protobuf, or has a link without a CID.
    #[error("{0} is not a readable dag-pb node")]
    Malformed(Cid),
    /// The node has more links than [`MAX_LINKS`].
    #[error("{0} has too many links")]
    TooManyLinks(Cid),
    /// The node is UnixFS of a kind that is not supported.
    #[error("{0} is a {1}, which is not supported")]
    Unsupported(Cid, &'static str),
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawLink {
    #[prost(bytes = "bytes", optional, tag = "1")]
    hash: Option<Bytes>,
    #[prost(string, optional, tag = "2")]
    name: Option<String>,
    #[prost(uint64, optional, tag = "3")]
    size: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawNode {
    #[prost(bytes = "bytes", optional, tag = "1")]
    data: Option<Bytes>,
    #[prost(message, repeated, tag = "2")]
    links: Vec<RawLink>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RawUnixFs {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(bytes = "bytes", optional, tag = "2")]
    data: Option<Bytes>,
    #[prost(uint64, optional, tag = "3")]
    file_size: Option<u64>,
    #[prost(uint64, repeated, packed = "false", tag = "4")]
    block_sizes: Vec<u64>,
}

/// A link to another block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Name of the entry in a directory; empty in a file.
    pub name: String,
    /// CID of the block that the link leads to.
    pub cid: Cid,
    /// Size of all blocks below in bytes, as claimed by the author of the link.
    pub total_size: u64,
}

/// A decoded block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// A part of a file: its own bytes, followed by the content of its links.
    File {
        /// Bytes of content in this block.
        data: Bytes,
        /// Size in bytes of the whole file below this node, as claimed by its author.
        claimed_size: u64,
        /// Parts of the file that follow, in order.
        links: Vec<Link>,
        /// Sizes of the parts in bytes, as claimed by the author. An honest node has one for each link.
        block_sizes: Vec<u64>,
    },
    /// A directory, with its entries in order.
    Directory {
        /// Entries of the directory.
        links: Vec<Link>,
    },
}

/// Returns the links of a block, without interpreting them.
///
/// # Errors
/// When the block is not readable, or its codec is neither raw nor dag-pb.
pub fn links(cid: &Cid, block: &Bytes) -> Result<Vec<Link>, DagError> {
    match cid.codec() {
        RAW => Ok(Vec::new()),
        DAG_PB => Ok(parse(cid, block)?.0),
        codec => Err(DagError::Codec(*cid, codec)),
    }
}

/// Reads a block as a node of UnixFS.
///
/// # Errors
/// When the block is not readable, or of a kind that is not supported (symlinks, sharded directories).
pub fn node(cid: &Cid, block: &Bytes) -> Result<Node, DagError> {
    if cid.codec() == RAW {
        let (claimed_size, data) = (block.len() as u64, block.clone());
        return Ok(Node::File { claimed_size, data, links: Vec::new(), block_sizes: Vec::new() });
    }
    if cid.codec() != DAG_PB {
        return Err(DagError::Codec(*cid, cid.codec()));
    }
    let (links, data) = parse(cid, block)?;
    if count_sizes(&data).ok_or(DagError::Malformed(*cid))? > MAX_LINKS {
        return Err(DagError::TooManyLinks(*cid));
    }
    let inner = RawUnixFs::decode(data).map_err(|_| DagError::Malformed(*cid))?;
    match inner.kind {
        0 | 2 => {
            let data = inner.data.unwrap_or_default();
            let claimed_size = inner.file_size.unwrap_or(data.len() as u64);
            Ok(Node::File { claimed_size, data, links, block_sizes: inner.block_sizes })
        }
        1 => Ok(Node::Directory { links }),
        4 => Err(DagError::Unsupported(*cid, "symbolic link")),
        5 => Err(DagError::Unsupported(*cid, "sharded (HAMT) directory")),
        _ => Err(DagError::Unsupported(*cid, "UnixFS node of unknown kind")),
    }
}

/// A part of a file that is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FilePart {
    pub(crate) cid: Cid,
    /// Size of its content in bytes.
    pub(crate) size: u64,
    /// Size in bytes of all its blocks.
    pub(crate) total_size: u64,
}

/// Returns the dag-pb block of a file with these parts, in the same bytes as Kubo, and the size of its content.
pub(crate) fn file_node(parts: &[FilePart]) -> (Vec<u8>, u64) {
    let size = parts.iter().map(|part| part.size).sum();
    let block_sizes = parts.iter().map(|part| part.size).collect();
    let inner = RawUnixFs { kind: 2, data: None, file_size: Some(size), block_sizes };
    let mut block = Vec::new();
    // The links come before the data, although their field has the higher number.
    for part in parts {
        let (hash, name) = (Some(part.cid.to_bytes().into()), Some(String::new()));
        let link = RawLink { hash, name, size: Some(part.total_size) };
        encoding::message::encode(2, &link, &mut block);
    }
    encoding::bytes::encode(1, &inner.encode_to_vec(), &mut block);
    (block, size)
}

fn parse(cid: &Cid, block: &Bytes) -> Result<(Vec<Link>, Bytes), DagError> {
    // The links are counted before anything is allocated: an empty link takes two bytes on the wire and ninety in
    // memory.
    if count_links(block).ok_or(DagError::Malformed(*cid))? > MAX_LINKS {
        return Err(DagError::TooManyLinks(*cid));
    }
    let raw = RawNode::decode(block.clone()).map_err(|_| DagError::Malformed(*cid))?;
    let links: Option<Vec<Link>> = raw.links.into_iter().map(link).collect();
    Ok((links.ok_or(DagError::Malformed(*cid))?, raw.data.unwrap_or_default()))
}

fn count_links(mut block: &[u8]) -> Option<usize> {
    let mut count = 0;
    while !block.is_empty() {
        let (tag, wire_type) = decode_key(&mut block).ok()?;
        skip_field(wire_type, tag, &mut block, DecodeContext::default()).ok()?;
        count += usize::from(tag == 2);
    }
    Some(count)
}

/// Counts the block sizes of a UnixFS message, packed or not. Each takes one byte on the wire and eight in memory.
fn count_sizes(message: &[u8]) -> Option<usize> {
    let (mut rest, mut count) = (message, 0);
    while !rest.is_empty() {
        let (tag, wire_type) = decode_key(&mut rest).ok()?;
        if tag == 4 && wire_type == WireType::LengthDelimited {
            let length = usize::try_from(decode_varint(&mut rest).ok()?).ok()?;
            let (packed, after) = rest.split_at_checked(length)?;
            // The last byte of a number has its highest bit clear.
            count += packed.iter().filter(|byte| **byte < 0x80).count();
            rest = after;
        } else {
            skip_field(wire_type, tag, &mut rest, DecodeContext::default()).ok()?;
            count += usize::from(tag == 4);
        }
    }
    Some(count)
}

fn link(raw: RawLink) -> Option<Link> {
    let cid = Cid::try_from(raw.hash?.as_ref()).ok()?;
    Some(Link { name: raw.name.unwrap_or_default(), cid, total_size: raw.size.unwrap_or(0) })
}
