//! A copy of what one peer holds, without a node and without a store: over TCP, block by block, straight to its reader.
//!
//! It is for programs that fetch a file once. Every block is checked against its hash, and the sizes that the blocks claim
//! against each other, before a byte of it is given.
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

use crate::dag::{self, DagError, Node};
use crate::store::BlockKey;
use crate::unixfs::{Cursor, FileNode, SeekError};
pub use link::ConnectError;
use link::Link;

/// Number of blocks that are wanted ahead of the one that comes next. With blocks of 256 KiB they are 16 MiB, more than a
/// path of 1 Gbit/s and 100 ms holds.
const WINDOW: usize = 64;
/// Number of blocks that a file may have whatever its size, and bytes of content for each further block.
const BLOCKS: (u64, u64) = (10_000, 1024);
/// The multicodec of the hash function whose digest is the data itself.
const IDENTITY: u64 = 0x00;

/// Why a file was not copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// The peer says that it does not hold a block.
    #[error("the peer does not hold {0}")]
    NotHeld(Cid),
    /// Nothing came for so long.
    #[error("no block came for {} s", .0.as_secs_f64())]
    Stalled(Duration),
    /// The connection is over.
    #[error("the connection broke")]
    Broken(#[source] Option<io::Error>),
    /// Nobody can tell whether a block with this CID is the right one.
    #[error("the hash function {code:#x} of {0} is not known here", code = .0.hash().code())]
    UnknownHash(Cid),
    /// A block is not readable.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// The blocks of the file contradict each other.
    #[error(transparent)]
    Seek(#[from] SeekError),
    /// It is a file where a directory was expected.
    #[error("{0} is not a directory")]
    NoDirectory(Cid),
    /// The directory has no such file.
    #[error("there is no {0:?} in the directory")]
    NoSuchEntry(String),
    /// The file is larger or smaller than it is said to be.
    #[error("the file has {found} bytes, and not {expected} as is said of it")]
    OtherSize {
        /// As its root claims.
        found: u64,
        /// As was asked for.
        expected: u64,
    },
    /// Far more blocks than a file of this size needs.
    #[error("the file is made of too many blocks")]
    TooManyBlocks,
    /// Nobody takes the content any more.
    #[error("the content is not taken any more")]
    NotTaken,
}

/// A connection with a peer that holds content.
pub struct Source {
    link: Link,
    patience: Duration,
    /// Blocks that were asked for and have not come.
    asked: BTreeSet<BlockKey>,
    /// Blocks that came before they are needed, at most [`WINDOW`] and one.
    here: BTreeMap<BlockKey, Bytes>,
    /// Blocks that the peer says it lacks.
    lacking: BTreeSet<BlockKey>,
    /// When a block last came, or was first waited for.
    moved: Instant,
    /// Priority of the next want: what is asked for first is needed first.
    priority: i32,
}

impl Source {
    /// Connects with the peer at one of these addresses; with `network_key`, as a member of that private network. `patience`
    /// is how long nothing may happen, here and later.
    ///
    /// # Errors
    /// When none of the addresses leads to the peer.
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

    /// Copies the file `name` of the directory `root` to `pieces`, in order. It has to have `size` bytes.
    ///
    /// # Errors
    /// When the peer does not give it, when it is not what is said of it, and when `pieces` is closed.
    pub async fn copy_file(
        &mut self,
        root: Cid,
        name: &str,
        size: u64,
        pieces: &mpsc::Sender<Bytes>,
    ) -> Result<(), CopyError> {
        let directory = self.block(root, &[]).await?;
        let file = find(&root, &directory, name)?;
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

    /// Returns a block; meanwhile the peer is asked for those ahead of it as well.
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
            // A block that comes more than once in a file is not asked for again.
            let is_last = !ahead.iter().any(|other| BlockKey::of(other) == key);
            let found = if is_last { self.here.remove(&key) } else { self.here.get(&key).cloned() };
            if let Some(block) = found {
                return Ok(block);
            }
            if self.lacking.contains(&key) {
                return Err(CopyError::NotHeld(cid));
            }
            // Only a block is progress: a peer says other things as well.
            let message = timeout_at(self.moved + self.patience, self.link.receive()).await;
            self.take(
                message.map_err(|_| CopyError::Stalled(self.patience))?.ok_or(CopyError::Broken(None))?,
            );
        }
    }

    /// Asks for the blocks that were not asked for yet.
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

    /// Takes what was asked for; a peer that sends anything else only wastes its own time.
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
