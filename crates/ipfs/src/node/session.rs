//! One fetch: follows the links of a DAG, and wants what is not here.
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use libp2p::PeerId;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};

use super::driver::Command;
use super::fetch::WINDOW;
use super::obstacle::{Obstacle, Shortage};
use super::table::Entry;
use super::{FetchError, FetchLimits, FetchSummary, Fetched, Node, blocking};
use crate::dag;
use crate::store::{BlockKey, Protection};
use crate::unixfs::MAX_DEPTH;

/// When nothing came for so long, people are told why.
const SILENT: Duration = Duration::from_secs(5);
/// How often it is tried whether there is room again.
const ROOM_AGAIN: Duration = Duration::from_secs(5);

/// A block, how deep it lies, and what became of it; from whom it came if it came from somebody.
type Arrival = (Cid, usize, Result<(Bytes, Option<PeerId>), FetchError>);

pub(super) struct Session<'a> {
    node: &'a Node,
    root: Cid,
    limits: FetchLimits,
    entry: &'a Entry,
    protection: Protection,
    seen: BTreeSet<BlockKey>,
    /// Blocks to look at, with their depth; the next one last.
    todo: Vec<(Cid, usize)>,
    wanted: FuturesUnordered<BoxFuture<'a, Arrival>>,
    /// The blocks that are wanted, with their depth.
    asked: BTreeMap<Cid, usize>,
    summary: FetchSummary,
    /// What there was no room for, and when to try again.
    shortage: Option<(Shortage, Instant)>,
    /// When something last came, or was found here.
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
            if Instant::now() >= deadline {
                return Err(self.given_up());
            }
            self.tell_obstacle();
        }
    }

    /// When to look again though nothing comes.
    fn next_look(&self) -> Instant {
        let silent = self.moved + SILENT;
        let now = Instant::now();
        let look = if silent > now { silent } else { now + SILENT };
        self.shortage.map_or(look, |(_, again)| again.max(now))
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
        (self.shortage, self.moved) = (None, Instant::now());
        self.block(&cid, depth, &block)
    }

    /// Wants nothing any more until there may be room.
    fn no_room(&mut self, cid: Cid, depth: usize, shortage: Shortage) {
        self.todo.push((cid, depth));
        self.wanted = FuturesUnordered::new();
        self.todo.extend(std::mem::take(&mut self.asked));
        self.shortage = Some((shortage, Instant::now() + ROOM_AGAIN));
    }

    /// How many blocks may be wanted now: one at a time shows whether there is room again.
    fn window(&self) -> usize {
        match self.shortage {
            Some((_, again)) if Instant::now() < again => 0,
            Some(_) => 1,
            None => WINDOW,
        }
    }

    /// Looks at blocks that are here already, and wants the others, until enough are wanted.
    async fn fill_window(&mut self) -> Result<(), FetchError> {
        while self.wanted.len() < self.window() {
            let Some((cid, depth)) = self.todo.pop() else {
                return Ok(());
            };
            self.protection.add(&cid);
            match local(self.node, cid).await? {
                Local::Raw(size) => self.count(size)?,
                Local::Node(block) => self.block(&cid, depth, &block)?,
                Local::Missing => {
                    self.asked.insert(cid, depth);
                    self.wanted.push(Box::pin(want(self.node, cid, depth, self.limits.priority)));
                }
            }
        }
        Ok(())
    }

    /// Counts a block and follows its links.
    fn block(&mut self, cid: &Cid, depth: usize, block: &Bytes) -> Result<(), FetchError> {
        if *cid == self.root {
            self.check_claim(block)?;
        }
        // In order from the back, so that the beginning of a file comes first.
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

    /// Refuses at once what says itself that it is too large. What lies is refused when it gets there.
    fn check_claim(&self, block: &Bytes) -> Result<(), FetchError> {
        let claimed = match dag::node(&self.root, block)? {
            dag::Node::File { claimed_size, .. } => claimed_size,
            dag::Node::Directory { links } => {
                links.iter().fold(0, |sum: u64, link| sum.saturating_add(link.total_size))
            }
        };
        self.entry.tell(|progress| progress.claimed_bytes = Some(claimed));
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

/// What the store has of a block.
enum Local {
    /// A block without links: its size is enough.
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

async fn wait_for(node: &Node, cid: Cid, priority: i32) -> Result<(Bytes, Option<PeerId>), FetchError> {
    loop {
        let (reply, answer) = oneshot::channel();
        node.commands.send(Command::Want { cid, priority, reply }).await.map_err(|_| FetchError::Stopped)?;
        if let Ok(delivery) = answer.await {
            let (block, from) = delivery?;
            return Ok((block, Some(from)));
        }
        // It was stored by somebody else meanwhile, or the driver is gone, which the next send shows.
        let store = node.store.clone();
        if let Some(block) = blocking(move || store.get(&cid).map_err(FetchError::from)).await? {
            return Ok((block, None));
        }
    }
}
