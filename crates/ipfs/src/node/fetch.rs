//! Fetches a whole DAG into the store.
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use futures::future::{BoxFuture, join_all};
use futures::stream::{FuturesUnordered, StreamExt};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::driver::Command;
use super::exchange::WantError;
use super::{Node, blocking};
use crate::dag::{self, DagError};
use crate::store::{BlockKey, Protection, StoreError};
use crate::unixfs::MAX_DEPTH;

/// How many blocks one fetch wants at one time.
pub(super) const WINDOW: usize = 256;
/// The most neighbours that are met.
const MAX_NEIGHBOURS: usize = 48;
/// How often neighbours that are not connected are dialled.
const MEET_AGAIN: Duration = Duration::from_secs(20);
/// The first pause between dials of providers none of which is connected, and the longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// Somebody who is said to have a DAG, and where it can be reached.
pub type Provider = (PeerId, Vec<Multiaddr>);

/// What one fetch may cost.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// The most bytes of all its blocks together.
    pub max_bytes: u64,
    /// The most different blocks.
    pub max_blocks: usize,
    /// How long no block may arrive before it is given up.
    pub stall_timeout: Duration,
    /// What has a higher one is fetched first.
    pub priority: i32,
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchProgress {
    /// Blocks that are here.
    pub blocks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks known to belong to the DAG so far.
    pub known_blocks: usize,
    /// The content's size as the root claims it, once the root is here.
    pub claimed_bytes: Option<u64>,
}

/// What was fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchSummary {
    /// The bytes of all different blocks.
    pub bytes: u64,
    /// How many there are.
    pub blocks: usize,
    /// Those of the blocks that came from peers now; the others were here before.
    pub fetched_blocks: usize,
}

/// A DAG that is wholly in the store, and protected until this is dropped: pin it before.
#[derive(Debug)]
pub struct Fetched {
    /// How much there is of it.
    pub summary: FetchSummary,
    /// Keeps its blocks from being thrown away.
    pub protection: Protection,
}

/// Why a DAG was not fetched. What came of it stays in the store until room is needed, and is found by the next try.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No block came for [`FetchLimits::stall_timeout`].
    #[error("no block came for {} s; {blocks} of at least {known_blocks} blocks are here", waited.as_secs())]
    Stalled {
        /// How long.
        waited: Duration,
        /// Blocks that are here.
        blocks: usize,
        /// Blocks known to belong to the DAG.
        known_blocks: usize,
    },
    /// More than [`FetchLimits::max_bytes`], or its root claims so.
    #[error("the content has more than {0} bytes")]
    TooLarge(u64),
    /// More than [`FetchLimits::max_blocks`].
    #[error("the content has more than {0} blocks")]
    TooManyBlocks(usize),
    /// Deeper than [`MAX_DEPTH`].
    #[error("the DAG is deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A block is not readable.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// The store failed, mostly because it is full.
    #[error("{0}")]
    Store(String),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<WantError> for FetchError {
    fn from(error: WantError) -> Self {
        Self::Store(error.to_string())
    }
}

impl super::types::WorkerDied for FetchError {
    fn worker_died() -> Self {
        StoreError::worker_died().into()
    }
}

impl Node {
    /// Fetches the whole DAG below `root` into the store, from the providers and from every other connected peer.
    /// Blocks that are here already are not fetched again. Dropping the future ends the fetch.
    ///
    /// # Errors
    /// When a limit is reached, nothing comes any more, the DAG is not readable, or the store is full.
    pub async fn fetch(
        &self,
        root: Cid,
        providers: Vec<Provider>,
        limits: FetchLimits,
        progress: watch::Sender<FetchProgress>,
    ) -> Result<Fetched, FetchError> {
        let (_unchanging, providers) = watch::channel(providers);
        self.fetch_from(root, providers, limits, progress).await
    }

    /// As [`Node::fetch`], with providers that may change meanwhile: whoever is named later is dialled at once.
    ///
    /// # Errors
    /// As [`Node::fetch`].
    pub async fn fetch_from(
        &self,
        root: Cid,
        providers: watch::Receiver<Vec<Provider>>,
        limits: FetchLimits,
        progress: watch::Sender<FetchProgress>,
    ) -> Result<Fetched, FetchError> {
        let _slot = self.fetch_slots.acquire().await.map_err(|_| FetchError::Stopped)?;
        let session = Session::new(self, root, limits, progress);
        tokio::select! {
            result = session.run() => result,
            never = keep_connected(self, providers) => match never {},
            never = meet_neighbours(self) => match never {},
        }
    }

    /// Names other nodes that are near. While something is fetched they are met, so that those who want the same can
    /// give it to each other. At most 48 are taken.
    pub fn tell_neighbours(&self, mut neighbours: Vec<Provider>) {
        neighbours.truncate(MAX_NEIGHBOURS);
        self.neighbours.send_if_modified(|told| {
            *told != neighbours && {
                *told = neighbours;
                true
            }
        });
    }
}

/// Dials all providers, and again whenever none of them is connected or others are named.
async fn keep_connected(
    node: &Node,
    mut providers: watch::Receiver<Vec<Provider>>,
) -> std::convert::Infallible {
    let mut connected = node.connected_peers();
    let mut pause = BACK_OFF.0;
    loop {
        let current = providers.borrow_and_update().clone();
        let dials = current.iter().map(|(peer, addresses)| node.connect(*peer, addresses.clone()));
        let wait = async {
            join_all(dials).await;
            wait_until_alone(&mut connected, &current, &mut pause).await;
        };
        tokio::select! {
            () = wait => {}
            // A dial that hangs must not hold up one that would not.
            () = named_anew(&mut providers) => pause = BACK_OFF.0,
        }
    }
}

/// Dials the neighbours once, and again when others are named or some time is over.
async fn meet_neighbours(node: &Node) -> std::convert::Infallible {
    let mut neighbours = node.neighbours.subscribe();
    loop {
        let current = neighbours.borrow_and_update().clone();
        let connected = node.connected_peers().borrow().clone();
        let strangers = current.into_iter().filter(|(peer, _)| !connected.contains(peer));
        let dials = join_all(strangers.map(|(peer, addresses)| node.connect(peer, addresses)));
        tokio::select! {
            () = async { dials.await; sleep(MEET_AGAIN).await } => {}
            () = named_anew(&mut neighbours) => {}
        }
    }
}

/// Returns when it is time to dial again: a while later when no provider is connected, else once none is any more.
async fn wait_until_alone(
    connected: &mut watch::Receiver<Arc<BTreeSet<PeerId>>>,
    providers: &[Provider],
    pause: &mut Duration,
) {
    let any = |peers: &BTreeSet<PeerId>| providers.iter().any(|(peer, _)| peers.contains(peer));
    if !any(&connected.borrow_and_update()) {
        sleep(*pause).await;
        *pause = (*pause * 2).min(BACK_OFF.1);
        return;
    }
    *pause = BACK_OFF.0;
    if connected.wait_for(|peers| !any(peers)).await.is_err() {
        // The driver is gone; the fetch itself notices that.
        std::future::pending().await
    }
}

/// Returns when the providers change; never when they cannot any more.
async fn named_anew(providers: &mut watch::Receiver<Vec<Provider>>) {
    if providers.changed().await.is_err() {
        std::future::pending().await
    }
}

type Arrival = (Cid, usize, Result<Bytes, FetchError>);

struct Session<'a> {
    node: &'a Node,
    root: Cid,
    limits: FetchLimits,
    progress: watch::Sender<FetchProgress>,
    protection: Protection,
    seen: BTreeSet<BlockKey>,
    /// Blocks to look at, with their depth; the next one last.
    todo: Vec<(Cid, usize)>,
    wanted: FuturesUnordered<BoxFuture<'a, Arrival>>,
    summary: FetchSummary,
}

impl<'a> Session<'a> {
    fn new(node: &'a Node, root: Cid, limits: FetchLimits, progress: watch::Sender<FetchProgress>) -> Self {
        let (protection, seen) = (node.store.protection(), BTreeSet::from([BlockKey::of(&root)]));
        let (todo, wanted, summary) = (vec![(root, 0)], FuturesUnordered::new(), FetchSummary::default());
        Self { node, root, limits, progress, protection, seen, todo, wanted, summary }
    }

    async fn run(mut self) -> Result<Fetched, FetchError> {
        let mut deadline = Instant::now() + self.limits.stall_timeout;
        loop {
            self.fill_window().await?;
            if self.wanted.is_empty() {
                return Ok(Fetched { summary: self.summary, protection: self.protection });
            }
            tokio::select! {
                Some((cid, depth, arrival)) = self.wanted.next() => {
                    self.summary.fetched_blocks += 1;
                    self.block(&cid, depth, &arrival?)?;
                    deadline = Instant::now() + self.limits.stall_timeout;
                }
                () = sleep_until(deadline) => return Err(self.stalled()),
            }
        }
    }

    fn stalled(&self) -> FetchError {
        let (waited, known_blocks) = (self.limits.stall_timeout, self.seen.len());
        FetchError::Stalled { waited, blocks: self.summary.blocks, known_blocks }
    }

    /// Looks at blocks that are here already, and wants the others, until enough are wanted.
    async fn fill_window(&mut self) -> Result<(), FetchError> {
        while self.wanted.len() < WINDOW {
            let Some((cid, depth)) = self.todo.pop() else {
                return Ok(());
            };
            self.protection.add(&cid);
            match local(self.node, cid).await? {
                Local::Raw(size) => self.count(size)?,
                Local::Node(block) => self.block(&cid, depth, &block)?,
                Local::Missing => {
                    self.wanted.push(Box::pin(want(self.node, cid, depth, self.limits.priority)))
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
    fn check_claim(&mut self, block: &Bytes) -> Result<(), FetchError> {
        let claimed = match dag::node(&self.root, block)? {
            dag::Node::File { claimed_size, .. } => claimed_size,
            dag::Node::Directory { links } => {
                links.iter().fold(0, |sum: u64, link| sum.saturating_add(link.total_size))
            }
        };
        self.progress.send_modify(|progress| progress.claimed_bytes = Some(claimed));
        if claimed > self.limits.max_bytes {
            Err(FetchError::TooLarge(self.limits.max_bytes))
        } else {
            Ok(())
        }
    }

    fn count(&mut self, size: usize) -> Result<(), FetchError> {
        self.summary.blocks += 1;
        self.summary.bytes = self.summary.bytes.saturating_add(size as u64);
        self.progress.send_modify(|progress| {
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

/// Wants a block until it comes.
pub(super) async fn wait_for(node: &Node, cid: Cid, priority: i32) -> Result<Bytes, FetchError> {
    loop {
        let (reply, answer) = oneshot::channel();
        node.commands.send(Command::Want { cid, priority, reply }).await.map_err(|_| FetchError::Stopped)?;
        if let Ok(delivery) = answer.await {
            return Ok(delivery?);
        }
        // It was stored by somebody else meanwhile, or the driver is gone, which the next send shows.
        let store = node.store.clone();
        if let Some(block) = blocking(move || store.get(&cid).map_err(FetchError::from)).await? {
            return Ok(block);
        }
    }
}
