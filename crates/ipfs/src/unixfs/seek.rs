//! The way through a file from one byte to another: which block comes next, and which of its bytes are content.
//!
//! Nothing here waits or reads: the caller brings each block, from wherever it comes. Whoever made the blocks may lie in
//! all that they say of sizes. A lie ends the way before a byte is given at a wrong place: the size that a node claims
//! for a part has to be the one that the part shows, down to the leaves, so what is given is as long as the root says.
use std::ops::Range;
use std::vec::IntoIter;

use bytes::Bytes;
use cid::Cid;

use crate::dag::{self, DagError, Node};

/// How deep the blocks of one file may lie: nine levels are 2^64 bytes, unless somebody wants them deep.
pub const MAX_FILE_DEPTH: usize = 32;
/// How many parts may wait at one time: each level leaves at most as many as a node has.
const MAX_PENDING: usize = 65_536;

/// Why a file cannot be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SeekError {
    /// The block is not readable.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// It is a directory.
    #[error("{0} is a directory, not a part of a file")]
    Directory(Cid),
    /// The sizes in the blocks contradict each other.
    #[error("{0} is not as large as is said of it")]
    WrongSize(Cid),
    /// Deeper than [`MAX_FILE_DEPTH`], or far too wide for its depth.
    #[error("the blocks of the file lie too deep below each other")]
    TooDeep,
}

/// A part of a file: the content below one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its root.
    pub cid: Cid,
    /// How many bytes of content it has.
    pub size: u64,
}

/// One block of a file, with sizes that add up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileNode {
    /// The bytes in this block, which come before those of the parts.
    pub data: Bytes,
    /// What follows.
    pub parts: Vec<Part>,
    /// The bytes of content here and below.
    pub size: u64,
}

impl FileNode {
    /// Reads a block as a node of a file.
    ///
    /// # Errors
    /// When it is none, or its sizes do not add up.
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

/// The way through a file. [`Cursor::next_part`] names the block that is needed, [`Cursor::feed`] takes it.
#[derive(Debug)]
pub struct Cursor {
    range: Range<u64>,
    /// Where in the file the next part begins.
    at: u64,
    /// What follows, on each level; the next one in the last.
    levels: Vec<IntoIter<Part>>,
    pending: usize,
    wanted: Option<Part>,
}

impl Cursor {
    /// Begins at the root of a file; gives what of the range is in the root itself.
    pub fn new(root: FileNode, range: Range<u64>) -> (Self, Bytes) {
        let mut cursor = Self { range, at: 0, levels: Vec::new(), pending: 0, wanted: None };
        let data = cursor.enter(root);
        (cursor, data)
    }

    /// The part that comes next, whose root [`Cursor::feed`] needs; none when the range is through. Asked again before
    /// it is fed, it answers the same.
    pub fn next_part(&mut self) -> Option<Part> {
        while self.wanted.is_none() && self.at < self.range.end {
            let Some(part) = self.levels.last_mut()?.next() else {
                self.levels.pop();
                continue;
            };
            self.pending -= 1;
            // Parts without content are left out too, so that each block brings the end nearer.
            if self.at.saturating_add(part.size) <= self.range.start.max(self.at) {
                self.at = self.at.saturating_add(part.size);
            } else {
                self.wanted = Some(part);
            }
        }
        self.wanted
    }

    /// The parts of the range that come after the one that is wanted, as far as they are known, at most `count`.
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

    /// Takes the root of the part that was named last, and gives the content of the range that is in it, which may be
    /// empty. Without a part that was named it gives nothing.
    ///
    /// # Errors
    /// When the block is not readable, or is not what was said of it.
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

    /// Goes past the part that was named last, as if it had been fed.
    pub fn skip(&mut self) {
        if let Some(part) = self.wanted.take() {
            self.at = self.at.saturating_add(part.size);
        }
    }

    fn enter(&mut self, node: FileNode) -> Bytes {
        let end = self.at.saturating_add(node.data.len() as u64);
        let within = |offset: u64| {
            // No longer than the data, which is in memory.
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
