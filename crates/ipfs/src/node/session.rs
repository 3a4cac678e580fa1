//! One fetch: follows the links of a DAG and requests the blocks that are missing.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use libp2p::PeerId;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::Node;
use super::driver::Command;
use super::fetch_types::{FetchError, FetchLimits, FetchSummary, Fetched, WINDOW};
use super::obstacle::{Obstacle, Shortage};
use super::table::Entry;
use super::worker::blocking;
use crate::dag;
use crate::store::{BlockKey, Protection};
use crate::unixfs::MAX_DEPTH;

/// Time without a new block after which the fetch reports an obstacle.
const SILENT: Duration = Duration::from_secs(5);
/// Interval of checks for free space while there is room, and after a shortage.
const LOOK_FOR_ROOM: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(3));
/// Minimum free space, in bytes, that a fetch requires, also while its size is unknown: one block of the usual size.
const USUAL_BLOCK_BYTES: u64 = 256 * 1024;

/// The CID of a block, its depth, and the outcome: the block, with the peer that sent it unless it came from the store.
type Arrival = (Cid, usize, Result<(Bytes, Option<PeerId>), FetchError>);

pub(super) struct Session<'a> {
    node: &'a Node,
    root: Cid,
    limits: FetchLimits,
    entry: &'a Entry,
    protection: Protection,
    seen: BTreeSet<BlockKey>,
    /// Blocks to look up, with their depth; the next one is the last.
    todo: Vec<(Cid, usize)>,
    wanted: FuturesUnordered<BoxFuture<'a, Arrival>>,
    /// The requested blocks, with their depth.
    asked: BTreeMap<Cid, usize>,
    summary: FetchSummary,
    /// The last shortage of space, and the time of the next try.
    shortage: Option<(Shortage, Instant)>,
    /// Time of the last check for free space.
    room_seen: Option<Instant>,
    claimed: Option<u64>,
    /// Time at which a block last arrived or was found in the store.
    moved: Instant,
}

impl<'a> Session<'a> {
    pub(super) fn new(node: &'a Node, root: Cid, limits: FetchLimits, entry: &'a Entry) -> Self {
        Self {
            node,
            root,
            limits,
            entry,
            protection: node.store.protection(),
            seen: BTreeSet::from([BlockKey::of(&root)]),
            todo: vec![(root, 0)],
            wanted: FuturesUnordered::new(),
            asked: BTreeMap::new(),
            summary: FetchSummary::default(),
            shortage: None,
            room_seen: None,
            claimed: None,
            moved: Instant::now(),
        }
    }

    pub(super) async fn run(mut self) -> Result<Fetched, FetchError> {
        loop {
            self.fill_window().await?;
            if self.wanted.is_empty() && self.todo.is_empty() {
                return Ok(Fetched { summary: self.summary, protection: self.protection });
            }
            let deadline = self.moved + self.limits.stall_timeout;
            let look = self.next_look().min(deadline);
            tokio::select! {
                Some((cid, depth, arrival)) = self.wanted.next() => self.arrived(cid, depth, arrival)?,
                () = sleep_until(look) => {}
            }
            if self.moved + self.limits.stall_timeout <= Instant::now() {
                return Err(self.given_up());
            }
            self.tell_obstacle();
        }
    }

    /// Returns the time of the next wake-up if no block arrives.
    fn next_look(&self) -> Instant {
        let (now, silent) = (Instant::now(), self.moved + SILENT);
        match self.shortage {
            Some((_, again)) if again > now => again,
            Some(_) => now + LOOK_FOR_ROOM.1,
            None if silent > now => silent,
            None => now + SILENT,
        }
    }

    fn tell_obstacle(&self) {
        let connected = self.node.connected_peers().borrow().len();
        let obstacle = match self.shortage {
            Some((shortage, _)) => Some(Obstacle::NoRoom(shortage)),
            None if self.moved.elapsed() < SILENT => None,
            None if connected == 0 => Some(Obstacle::Alone),
            None => Some(Obstacle::Silent(connected)),
        };
        self.entry.tell_obstacle(obstacle);
    }

    fn given_up(&self) -> FetchError {
        let (waited, known_blocks) = (self.limits.stall_timeout, self.seen.len());
        match self.shortage {
            Some((shortage, _)) => FetchError::NoRoom(shortage),
            None => FetchError::Stalled { waited, blocks: self.summary.blocks, known_blocks },
        }
    }

    fn arrived(
        &mut self,
        cid: Cid,
        depth: usize,
        arrival: Result<(Bytes, Option<PeerId>), FetchError>,
    ) -> Result<(), FetchError> {
        self.asked.remove(&cid);
        let (block, from) = match arrival {
            Err(FetchError::NoRoom(shortage)) => {
                self.no_room(cid, depth, shortage);
                return Ok(());
            }
            other => other?,
        };
        if let Some(from) = from {
            self.summary.fetched_blocks += 1;
            self.entry.came(from, block.len());
        }
        self.moved = Instant::now();
        // A block that was requested before the shortage may still arrive, so it does not end the shortage. A block
        // that was requested after the shortage ends it.
        self.shortage = self.shortage.filter(|(_, again)| *again > self.moved);
        self.block(&cid, depth, &block)
    }

    /// Withdraws all requests until the next check for free space.
    fn no_room(&mut self, cid: Cid, depth: usize, shortage: Shortage) {
        self.todo.push((cid, depth));
        self.wanted = FuturesUnordered::new();
        self.todo.extend(std::mem::take(&mut self.asked));
        self.shortage = Some((shortage, Instant::now() + LOOK_FOR_ROOM.1));
    }

    /// Returns the number of blocks that may be requested now: zero without room, and after a shortage only one as a
    /// trial.
    fn window(&mut self) -> usize {
        let now = Instant::now();
        let is_seen = self.room_seen.is_some_and(|seen| now < seen + LOOK_FOR_ROOM.0);
        match self.shortage {
            Some((_, again)) if now < again => return 0,
            None if is_seen => return WINDOW,
            _ => {}
        }
        let usual = if self.shortage.is_some() { 1 } else { WINDOW };
        let room = self.node.store.has_room(self.still_to_come());
        self.room_seen = Some(now);
        match room.err().as_ref().and_then(Shortage::of) {
            Some(shortage) => {
                self.shortage = Some((shortage, now + LOOK_FOR_ROOM.1));
                0
            }
            None => usual,
        }
    }

    /// Returns the number of bytes still to be stored, or an estimate while the size is unknown. It never exceeds the
    /// rest of the limit: a store with room for the limit has room for the whole fetch.
    fn still_to_come(&self) -> u64 {
        let missing = |bytes: u64| bytes.saturating_sub(self.summary.bytes);
        missing(self.claimed.unwrap_or(0)).max(USUAL_BLOCK_BYTES).min(missing(self.limits.max_bytes))
    }

    /// Follows blocks that are in the store, and requests the others until the window is full.
    async fn fill_window(&mut self) -> Result<(), FetchError> {
        let window = self.window();
        while let Some((cid, depth)) = self.todo.pop() {
            self.protection.add(&cid);
            match local(self.node, cid).await? {
                Local::Raw(size) => self.count(size)?,
                Local::Node(block) => self.block(&cid, depth, &block)?,
                Local::Missing if self.wanted.len() >= window => {
                    self.todo.push((cid, depth));
                    return Ok(());
                }
                Local::Missing => {
                    self.asked.insert(cid, depth);
                    self.wanted.push(Box::pin(want(self.node, cid, depth, self.limits.priority)));
                }
            }
        }
        Ok(())
    }

    /// Counts a block and queues the blocks that it links to.
    fn block(&mut self, cid: &Cid, depth: usize, block: &Bytes) -> Result<(), FetchError> {
        if *cid == self.root {
            self.check_claim(block)?;
        }
        // The last link is pushed first, so that the beginning of a file is fetched first.
        for link in dag::links(cid, block)?.into_iter().rev() {
            if !self.seen.insert(BlockKey::of(&link.cid)) {
                continue;
            }
            if depth >= MAX_DEPTH {
                return Err(FetchError::TooDeep);
            }
            self.todo.push((link.cid, depth + 1));
        }
        if self.seen.len() > self.limits.max_blocks {
            return Err(FetchError::TooManyBlocks(self.limits.max_blocks));
        }
        self.count(block.len())
    }

    /// Refuses content at once if its root claims a size over the limit. If the root claims a false smaller size, the
    /// content is refused when it reaches the limit.
    fn check_claim(&mut self, block: &Bytes) -> Result<(), FetchError> {
        let claimed = match dag::node(&self.root, block)? {
            dag::Node::File { claimed_size, .. } => claimed_size,
            dag::Node::Directory { links } => {
                links.iter().fold(0, |sum: u64, link| sum.saturating_add(link.total_size))
            }
        };
        // The needed space is known now, so the check for free space is repeated.
        (self.claimed, self.room_seen) = (Some(claimed), None);
        self.entry.tell(|progress| progress.claimed_bytes = self.claimed);
        if claimed > self.limits.max_bytes {
            Err(FetchError::TooLarge(self.limits.max_bytes))
        } else {
            Ok(())
        }
    }

    fn count(&mut self, size: usize) -> Result<(), FetchError> {
        self.summary.blocks += 1;
        self.summary.bytes = self.summary.bytes.saturating_add(size as u64);
        self.entry.tell(|progress| {
            progress.blocks = self.summary.blocks;
            progress.bytes = self.summary.bytes;
            progress.known_blocks = self.seen.len();
        });
        if self.summary.bytes > self.limits.max_bytes {
            return Err(FetchError::TooLarge(self.limits.max_bytes));
        }
        Ok(())
    }
}

/// The state of a block in the store.
enum Local {
    /// A block without links, with its size in bytes; its data is not needed.
    Raw(usize),
    Node(Bytes),
    Missing,
}

async fn local(node: &Node, cid: Cid) -> Result<Local, FetchError> {
    let Some(size) = node.store.size_of(&cid) else {
        return Ok(Local::Missing);
    };
    if cid.codec() == dag::RAW {
        return Ok(Local::Raw(size));
    }
    let store = node.store.clone();
    let block = blocking(move || store.get(&cid).map_err(FetchError::from)).await?;
    Ok(block.map_or(Local::Missing, Local::Node))
}

async fn want(node: &Node, cid: Cid, depth: usize, priority: i32) -> Arrival {
    (cid, depth, wait_for(node, cid, priority).await)
}

/// Requests a block until it arrives. Also returns the peer that sent it, or `None` if it was found in the store.
pub(super) async fn wait_for(
    node: &Node,
    cid: Cid,
    priority: i32,
) -> Result<(Bytes, Option<PeerId>), FetchError> {
    if !bitswap::message::can_verify(cid.hash()) {
        return Err(FetchError::UnknownHash(cid));
    }
    loop {
        let (reply, answer) = oneshot::channel();
        node.commands.send(Command::Want { cid, priority, reply }).await.map_err(|_| FetchError::Stopped)?;
        if let Ok(delivery) = answer.await {
            let (block, from) = delivery?;
            return Ok((block, Some(from)));
        }
        // The block was stored by another task, or the driver has stopped. The next send shows which.
        let store = node.store.clone();
        if let Some(block) = blocking(move || store.get(&cid).map_err(FetchError::from)).await? {
            return Ok((block, None));
        }
    }
}
