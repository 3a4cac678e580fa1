//! Reads the blocks of a CAR in depth-first order.
use std::collections::{BTreeSet, VecDeque};
use std::vec::IntoIter;

use bytes::Bytes;
use http_server::{BodySource, Refusal};
use ipfs::unixfs::{Cursor, MAX_DEPTH};
use ipfs::{Cid, dag};

use super::frame;
use super::links::links;
use crate::blocks::{AHEAD, Blocks};
use crate::content_error::ContentError;

/// The multicodec of the identity function, whose digest is the data itself. Such a block is not sent, since its CID in
/// the parent block contains it.
const IDENTITY: u64 = 0x00;
/// Maximum number of different blocks to remember as sent: the blocks of a file of 64 GiB.
const MAX_SEEN: usize = 1 << 18;
/// Maximum number of links that wait to be visited at one time.
const MAX_PENDING: usize = 65_536;

/// The blocks that follow the block at the end of the path.
pub(super) enum Below {
    /// The blocks of a file, or of a range of it.
    File(Cursor),
    /// All blocks below. `levels` has the unvisited links of each level; the next block is in the last level. `pending` is
    /// the number of unvisited links.
    All { levels: Vec<IntoIter<Cid>>, pending: usize },
}

impl Below {
    /// Returns an empty walk.
    pub(super) fn nothing() -> Self {
        Self::All { levels: Vec::new(), pending: 0 }
    }

    /// Returns a walk through the blocks of these links and all blocks below them.
    pub(super) fn all(links: Vec<Cid>) -> Result<Self, ContentError> {
        let mut all = Self::nothing();
        all.enter(links)?;
        Ok(all)
    }

    fn enter(&mut self, links: Vec<Cid>) -> Result<(), ContentError> {
        if let Self::All { levels, pending } = self {
            *pending += links.len();
            levels.push(links.into_iter());
            if levels.len() > MAX_DEPTH || *pending > MAX_PENDING {
                return Err(ContentError::TooLarge);
            }
        }
        Ok(())
    }

    /// Returns the next block to visit.
    fn next(&mut self) -> Option<Cid> {
        match self {
            Self::File(cursor) => cursor.next_part().map(|part| part.cid),
            Self::All { levels, pending } => loop {
                let Some(cid) = levels.last_mut()?.next() else {
                    levels.pop();
                    continue;
                };
                *pending -= 1;
                return Some(cid);
            },
        }
    }

    /// Skips the block that was returned last, if no unvisited block can be below it. Returns whether it was skipped.
    fn skip(&mut self, cid: &Cid) -> bool {
        match self {
            // An earlier visit of an inner node may have been for another part of the range, so it is visited again.
            Self::File(cursor) if cid.codec() == dag::RAW => cursor.skip(),
            Self::File(_) => return false,
            Self::All { .. } => {}
        }
        true
    }

    fn feed(&mut self, cid: &Cid, block: &Bytes) -> Result<(), ContentError> {
        match self {
            Self::File(cursor) => Ok(cursor.feed(block).map(drop)?),
            Self::All { .. } => self.enter(links(cid, block)?),
        }
    }

    /// Returns the blocks that will be visited soon.
    fn upcoming(&self) -> Vec<Cid> {
        match self {
            Self::File(cursor) => cursor.upcoming(AHEAD),
            Self::All { levels, .. } => {
                let waiting = levels.iter().rev().flat_map(IntoIter::as_slice);
                waiting.take(AHEAD).copied().collect()
            }
        }
    }
}

/// Produces the CAR chunk by chunk.
pub(super) struct Walk {
    blocks: Blocks,
    /// Chunks that are not sent yet.
    ready: VecDeque<Bytes>,
    /// The blocks of the path that are not visited yet.
    path: IntoIter<Cid>,
    below: Below,
    /// The blocks that were sent already, or `None` if duplicates are wanted.
    seen: Option<Seen>,
}

impl Walk {
    pub(super) fn new(blocks: Blocks, root: Cid, path: Vec<Cid>, below: Below, dups: bool) -> Self {
        let seen = (!dups).then(Seen::default);
        Self { blocks, ready: VecDeque::from([frame::header(&root)]), path: path.into_iter(), below, seen }
    }

    /// Visits the next block. Returns false if there is none.
    async fn advance(&mut self) -> Result<bool, ContentError> {
        if let Some(cid) = self.path.next() {
            let block = self.blocks.get(cid).await?;
            self.send(&cid, block)?;
            return Ok(true);
        }
        let Some(cid) = self.below.next() else {
            return Ok(false);
        };
        let is_known = self.seen.as_ref().is_some_and(|seen| seen.has(&cid));
        if is_known && self.below.skip(&cid) {
            return Ok(true);
        }
        self.blocks.expect(self.below.upcoming());
        let block = self.blocks.get(cid).await?;
        self.below.feed(&cid, &block)?;
        self.send(&cid, block)?;
        Ok(true)
    }

    fn send(&mut self, cid: &Cid, block: Bytes) -> Result<(), ContentError> {
        if cid.hash().code() == IDENTITY {
            return Ok(());
        }
        if let Some(seen) = &mut self.seen {
            if !seen.insert(cid) {
                return Ok(());
            }
            if seen.0.len() > MAX_SEEN {
                return Err(ContentError::TooLarge);
            }
        }
        self.ready.push_back(frame::section(cid, &block));
        if !block.is_empty() {
            self.ready.push_back(block);
        }
        Ok(())
    }
}

impl BodySource for Walk {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        while self.ready.is_empty() && self.advance().await? {}
        Ok(self.ready.pop_front())
    }
}

/// A set of CIDs. To save memory, it keeps only the codec and the first 16 bytes of the digest.
#[derive(Default)]
struct Seen(BTreeSet<(u64, [u8; 16])>);

impl Seen {
    fn has(&self, cid: &Cid) -> bool {
        self.0.contains(&Self::key(cid))
    }

    fn insert(&mut self, cid: &Cid) -> bool {
        self.0.insert(Self::key(cid))
    }

    fn key(cid: &Cid) -> (u64, [u8; 16]) {
        let mut beginning = [0; 16];
        beginning.iter_mut().zip(cid.hash().digest()).for_each(|(to, from)| *to = *from);
        (cid.codec(), beginning)
    }
}
