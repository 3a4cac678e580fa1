//! Copies a file from one peer, without a node and without a store. It works over TCP and passes each block directly to
//! the reader.
//!
//! This module is for programs that fetch a file once. Before a byte is passed to the reader, its block is checked
//! against its hash, and the sizes that the blocks claim are checked against each other.
mod link;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use bitswap::message::{Block, Entry, Message, Presence, WantType, can_verify};
use bytes::Bytes;
use cid::Cid;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

pub use crate::bare_link::ConnectError;
use crate::dag::{self, DagError, Node};
use crate::store::BlockKey;
use crate::unixfs::{Cursor, FileNode, SeekError};
use link::Link;

/// Number of blocks that are requested ahead of the next block. 64 blocks of 256 KiB are 16 MiB, more than the
/// bandwidth-delay product of a path with 1 Gbit/s and 100 ms.
const WINDOW: usize = 64;
/// Limits on the number of blocks of a file: the number that every file may have, and the number of bytes of content
/// that allow one more block.
const BLOCKS: (u64, u64) = (10_000, 1024);
/// Multicodec of the hash function whose digest is the data itself.
const IDENTITY: u64 = 0x00;

/// Error that occurs when a file is copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The peer says that it does not hold a block.
    #[error("the peer does not hold {0}")]
    NotHeld(Cid),
    /// No block arrived within this time.
    #[error("no block arrived for {} s", .0.as_secs_f64())]
    Stalled(Duration),
    /// The connection ended, with the I/O error if there was one.
    #[error("the connection broke")]
    Broken(#[source] Option<io::Error>),
    /// The hash function of this CID is not supported, so the block cannot be verified.
    #[error("the hash function {code:#x} of {0} is not supported", code = .0.hash().code())]
    UnknownHash(Cid),
    /// A block cannot be read as a node.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// The blocks of the file contradict each other.
    #[error(transparent)]
    Seek(#[from] SeekError),
    /// The CID names a file where a directory was expected.
    #[error("{0} is not a directory")]
    NoDirectory(Cid),
    /// The directory has no such file.
    #[error("there is no {0:?} in the directory")]
    NoSuchEntry(String),
    /// The file has another size than the caller expected.
    #[error("the file has {found} bytes, not the expected {expected}")]
    OtherSize {
        /// Size in bytes that the root of the file claims.
        found: u64,
        /// Size in bytes that the caller expected.
        expected: u64,
    },
    /// The file has far more blocks than its size needs.
    #[error("the file is made of too many blocks")]
    TooManyBlocks,
    /// The receiver of the content was dropped.
    #[error("the receiver of the content was dropped")]
    NotTaken,
}

/// A connection with a peer that holds content.
pub struct Source {
    link: Link,
    patience: Duration,
    /// Blocks that were requested and have not arrived.
    asked: BTreeSet<BlockKey>,
    /// Blocks that arrived before they are needed: at most [`WINDOW`] and one.
    here: BTreeMap<BlockKey, Bytes>,
    /// Blocks that the peer says it lacks.
    lacking: BTreeSet<BlockKey>,
    /// Time at which a block last arrived, or at which the wait for the current block began.
    moved: Instant,
    /// Priority of the next want. It falls with each want, because blocks that are requested first are needed first.
    priority: i32,
}

impl Source {
    /// Connects to the peer at one of these addresses. With `network_key`, connects as a member of that private
    /// network. `patience` is the longest time without progress, both here and in later calls.
    ///
    /// # Errors
    /// When no connection to the peer can be made at any of the addresses.
    pub async fn connect(
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        network_key: Option<[u8; 32]>,
        patience: Duration,
    ) -> Result<Self, ConnectError> {
        let link = Link::open(peer, addresses, network_key, patience).await?;
        let (asked, here, lacking) = (BTreeSet::new(), BTreeMap::new(), BTreeSet::new());
        Ok(Self { link, patience, asked, here, lacking, moved: Instant::now(), priority: i32::MAX })
    }

    /// Copies the file `name` of the directory `root` to `pieces`, in order. The file must have exactly `size` bytes.
    ///
    /// # Errors
    /// When the peer does not send the file, when the file is not as described, and when `pieces` is closed.
    pub async fn copy_file(
        &mut self,
        root: Cid,
        name: &str,
        size: u64,
        pieces: &mpsc::Sender<Bytes>,
    ) -> Result<(), CopyError> {
        let file = self.find(root, name).await?;
        self.copy(file, size, pieces).await
    }

    /// Returns the names and CIDs in the folder `name` of the directory `root`; `None` when it is a file.
    ///
    /// # Errors
    /// When the peer does not send the blocks, or there is nothing with this name.
    pub async fn members(&mut self, root: Cid, name: &str) -> Result<Option<Vec<(String, Cid)>>, CopyError> {
        let found = self.find(root, name).await?;
        Ok(match dag::node(&found, &self.block(found, &[]).await?)? {
            Node::Directory { links } => Some(links.into_iter().map(|link| (link.name, link.cid)).collect()),
            Node::File { .. } => None,
        })
    }

    /// Returns the size of a file, as its root claims it.
    ///
    /// # Errors
    /// When the peer does not send the root, or it is not that of a file.
    pub async fn size(&mut self, file: Cid) -> Result<u64, CopyError> {
        Ok(FileNode::read(&file, &self.block(file, &[]).await?)?.size)
    }

    async fn find(&mut self, root: Cid, name: &str) -> Result<Cid, CopyError> {
        let directory = self.block(root, &[]).await?;
        find(&root, &directory, name)
    }

    /// Copies a file to `pieces`, in order. The file must have exactly `size` bytes.
    ///
    /// # Errors
    /// As [`Self::copy_file`].
    pub async fn copy(
        &mut self,
        file: Cid,
        size: u64,
        pieces: &mpsc::Sender<Bytes>,
    ) -> Result<(), CopyError> {
        let node = FileNode::read(&file, &self.block(file, &[]).await?)?;
        if node.size != size {
            return Err(CopyError::OtherSize { found: node.size, expected: size });
        }
        let (mut cursor, mut data) = Cursor::new(node, 0..size);
        let mut blocks_left = BLOCKS.0.saturating_add(size / BLOCKS.1);
        loop {
            if !data.is_empty() {
                pieces.send(data).await.map_err(|_| CopyError::NotTaken)?;
            }
            let Some(part) = cursor.next_part() else { return Ok(()) };
            blocks_left = blocks_left.checked_sub(1).ok_or(CopyError::TooManyBlocks)?;
            let block = self.block(part.cid, &cursor.upcoming(WINDOW)).await?;
            data = cursor.feed(&block)?;
        }
    }

    /// Returns a block, and requests the blocks in `ahead` at the same time.
    async fn block(&mut self, cid: Cid, ahead: &[Cid]) -> Result<Bytes, CopyError> {
        if cid.hash().code() == IDENTITY {
            return Ok(Bytes::copy_from_slice(cid.hash().digest()));
        }
        if !can_verify(cid.hash()) {
            return Err(CopyError::UnknownHash(cid));
        }
        let key = BlockKey::of(&cid);
        self.moved = Instant::now();
        self.want(&cid, ahead).await?;
        loop {
            // A block that occurs again in the file is kept, so that it is not requested twice.
            let is_last = !ahead.iter().any(|other| BlockKey::of(other) == key);
            let found = if is_last { self.here.remove(&key) } else { self.here.get(&key).cloned() };
            if let Some(block) = found {
                return Ok(block);
            }
            if self.lacking.contains(&key) {
                return Err(CopyError::NotHeld(cid));
            }
            // Only a block counts as progress; other messages of the peer do not extend the deadline.
            let message = timeout_at(self.moved + self.patience, self.link.receive()).await;
            self.take(
                message.map_err(|_| CopyError::Stalled(self.patience))?.ok_or(CopyError::Broken(None))?,
            );
        }
    }

    /// Requests those of the blocks that were not requested before.
    async fn want(&mut self, cid: &Cid, ahead: &[Cid]) -> Result<(), CopyError> {
        let mut message = Message::default();
        for cid in std::iter::once(cid).chain(ahead) {
            let key = BlockKey::of(cid);
            let is_known = self.here.contains_key(&key) || self.lacking.contains(&key);
            if !is_known && can_verify(cid.hash()) && self.asked.insert(key) {
                let want = Entry::want(*cid, WantType::Block);
                message.wantlist.push(Entry { priority: self.priority, ..want });
                self.priority = self.priority.saturating_sub(1);
            }
        }
        if message.is_empty() {
            return Ok(());
        }
        let sent = timeout(self.patience, self.link.send(&message)).await;
        sent.map_err(|_| CopyError::Stalled(self.patience))?.map_err(|error| CopyError::Broken(Some(error)))
    }

    /// Takes the requested blocks and answers from a message, and ignores everything else.
    fn take(&mut self, message: Message) {
        for Block { cid, data } in message.blocks {
            let key = BlockKey::of(&cid);
            if self.asked.remove(&key) {
                self.here.insert(key, data);
                self.moved = Instant::now();
            }
        }
        for Presence { cid, have } in message.presences {
            let key = BlockKey::of(&cid);
            if !have && self.asked.remove(&key) {
                self.lacking.insert(key);
            }
        }
    }
}

/// Finds a file in a directory.
fn find(root: &Cid, block: &Bytes, name: &str) -> Result<Cid, CopyError> {
    let Node::Directory { links } = dag::node(root, block)? else {
        return Err(CopyError::NoDirectory(*root));
    };
    let link = links.into_iter().find(|link| link.name == name);
    link.map(|link| link.cid).ok_or_else(|| CopyError::NoSuchEntry(name.to_owned()))
}

#[cfg(test)]
mod tests;
