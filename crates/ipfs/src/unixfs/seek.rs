//! Walks through a byte range of a file: determines the block that comes next and the bytes of it that belong to the
//! range.
//!
//! This module does no I/O: the caller provides each block from any source. All sizes in the blocks may be false. A
//! wrong size ends the walk before a byte is returned at a wrong position. The size that a node claims for a part must
//! equal the actual size of the part, down to the leaves. So the content is exactly as long as the root claims.
use std::ops::Range;
use std::vec::IntoIter;

use bytes::Bytes;
use cid::Cid;

use crate::dag::{self, DagError, Node};

/// Maximum depth of the blocks of one file. Nine levels of honest blocks suffice for 2^64 bytes.
pub const MAX_FILE_DEPTH: usize = 32;
/// Maximum number of parts that wait at one time. Each level leaves at most as many as a node has.
const MAX_PENDING: usize = 65_536;

/// Error that ends the walk through a file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeekError {
    /// The block cannot be read as a node.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// The block is a directory.
    #[error("{0} is a directory, not a part of a file")]
    Directory(Cid),
    /// The sizes in the blocks contradict each other.
    #[error("{0} does not have the size that is claimed for it")]
    WrongSize(Cid),
    /// The file is deeper than [`MAX_FILE_DEPTH`], or far too wide for its depth.
    #[error("the blocks of the file are nested too deeply")]
    TooDeep,
}

/// A part of a file: the content below one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Root of the part.
    pub cid: Cid,
    /// Size of its content in bytes.
    pub size: u64,
}

/// One block of a file whose sizes are consistent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNode {
    /// Content in this block, which comes before that of the parts.
    pub data: Bytes,
    /// Parts that follow, in order.
    pub parts: Vec<Part>,
    /// Size of the content in and below this block in bytes.
    pub size: u64,
}

impl FileNode {
    /// Reads a block as a node of a file.
    ///
    /// # Errors
    /// When the block is not a node of a file, or its sizes do not add up.
    pub fn read(cid: &Cid, block: &Bytes) -> Result<Self, SeekError> {
        match dag::node(cid, block)? {
            Node::Directory { .. } => Err(SeekError::Directory(*cid)),
            Node::File { data, claimed_size, links, block_sizes } => {
                let mut sizes = block_sizes.iter();
                let size = sizes.try_fold(data.len() as u64, |sum, size| sum.checked_add(*size));
                if size != Some(claimed_size) || links.len() != block_sizes.len() {
                    return Err(SeekError::WrongSize(*cid));
                }
                let parts = links.into_iter().zip(block_sizes);
                let parts = parts.map(|(link, size)| Part { cid: link.cid, size }).collect();
                Ok(Self { data, parts, size: claimed_size })
            }
        }
    }
}

/// A walk through a byte range of a file. [`Cursor::next_part`] names the block that is needed, and [`Cursor::feed`]
/// takes it.
#[derive(Debug)]
pub struct Cursor {
    range: Range<u64>,
    /// Offset in the file of the next part.
    at: u64,
    /// The remaining parts of each level; the next part is in the last level.
    levels: Vec<IntoIter<Part>>,
    pending: usize,
    wanted: Option<Part>,
}

impl Cursor {
    /// Begins at the root of a file. Also returns the bytes of the range that are in the root itself.
    pub fn new(root: FileNode, range: Range<u64>) -> (Self, Bytes) {
        let mut cursor = Self { range, at: 0, levels: Vec::new(), pending: 0, wanted: None };
        let data = cursor.enter(root);
        (cursor, data)
    }

    /// Returns the next part, whose root [`Cursor::feed`] needs, or `None` at the end of the range. Repeated calls
    /// return the same part until it is fed.
    pub fn next_part(&mut self) -> Option<Part> {
        while self.wanted.is_none() && self.at < self.range.end {
            let Some(part) = self.levels.last_mut()?.next() else {
                self.levels.pop();
                continue;
            };
            self.pending -= 1;
            // Parts without content are left out, too, so that each block makes progress.
            if self.at.saturating_add(part.size) <= self.range.start.max(self.at) {
                self.at = self.at.saturating_add(part.size);
            } else {
                self.wanted = Some(part);
            }
        }
        self.wanted
    }

    /// Returns at most `count` parts of the range that follow the next part, as far as they are known.
    pub fn upcoming(&self, count: usize) -> Vec<Cid> {
        let mut at = self.at.saturating_add(self.wanted.map_or(0, |part| part.size));
        let mut cids = Vec::new();
        for part in self.levels.iter().rev().flat_map(IntoIter::as_slice) {
            if at >= self.range.end || cids.len() >= count {
                break;
            }
            at = at.saturating_add(part.size);
            if part.size > 0 && at > self.range.start {
                cids.push(part.cid);
            }
        }
        cids
    }

    /// Takes the root block of the next part. Returns the bytes of the range that are in it, which may be none. Without
    /// a next part, the result is empty.
    ///
    /// # Errors
    /// When the block is not readable, or its size is not the claimed one.
    pub fn feed(&mut self, block: &Bytes) -> Result<Bytes, SeekError> {
        let Some(part) = self.wanted.take() else {
            return Ok(Bytes::new());
        };
        let node = FileNode::read(&part.cid, block)?;
        if node.size != part.size {
            return Err(SeekError::WrongSize(part.cid));
        }
        if self.levels.len() >= MAX_FILE_DEPTH || self.pending + node.parts.len() > MAX_PENDING {
            return Err(SeekError::TooDeep);
        }
        Ok(self.enter(node))
    }

    /// Skips the next part, as if it had been fed.
    pub fn skip(&mut self) {
        if let Some(part) = self.wanted.take() {
            self.at = self.at.saturating_add(part.size);
        }
    }

    fn enter(&mut self, node: FileNode) -> Bytes {
        let end = self.at.saturating_add(node.data.len() as u64);
        let within = |offset: u64| {
            // The result is not larger than the data, which is in memory.
            usize::try_from(offset.clamp(self.at, end) - self.at).unwrap_or(node.data.len())
        };
        let (from, to) = (within(self.range.start), within(self.range.end));
        let data = node.data.slice(from..to.max(from));
        self.at = end;
        self.pending += node.parts.len();
        self.levels.push(node.parts.into_iter());
        data
    }
}

#[cfg(test)]
mod tests;
