//! The rim of the Bitswap engine: carries out what it says, with streams and the store.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bitswap::engine::{self, Engine, Output, Statistics};
use bitswap::message::{Block, Message};
use bytes::Bytes;
use cid::Cid;
use libp2p::{PeerId, Stream};
use libp2p_stream::Control;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};

use super::streams::{self, SendError};
use crate::store::{BlockKey, Store, StoreError};

/// The most streams of one peer that are read at one time.
const MAX_STREAMS_PER_PEER: usize = 64;
/// The most blocks that wait to be stored before no more messages are taken.
const MAX_STORING: usize = 64;
/// How many threads work for the disk at one time.
const DISK_WORKERS: usize = 4;
/// How long a peer whose stream broke is left alone.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What a fetch is told about a block that it wants.
pub(super) type Delivery = Result<Bytes, WantError>;

/// Why a wanted block does not come.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum WantError {
    #[error(transparent)]
    TooMany(#[from] engine::TooManyWants),
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
}

/// A piece of work that ended.
pub(super) enum Done {
    Sent { peer: PeerId, visit: u64, result: Result<Stream, SendError> },
    Loaded { peer: PeerId, visit: u64, blocks: Vec<Block>, missing: Vec<Cid> },
    Stored { cid: Cid, data: Bytes, result: Result<(), StoreError> },
}

/// One connected peer.
struct Link {
    /// Tells work for this connection from work for an earlier one.
    visit: u64,
    stream: Option<Stream>,
    readers: usize,
    /// When something was last said on it.
    used: Instant,
}

/// The fetches that wait for one block.
struct Waiting {
    cid: Cid,
    replies: Vec<oneshot::Sender<Delivery>>,
}

pub(super) struct Exchange {
    engine: Engine<PeerId>,
    start: Instant,
    store: Store,
    control: Control,
    links: BTreeMap<PeerId, Link>,
    visits: u64,
    waiting: BTreeMap<BlockKey, Waiting>,
    /// Blocks between their arrival and the end of their want.
    arrived: BTreeMap<BlockKey, Bytes>,
    storing: usize,
    work: JoinSet<Done>,
    readers: JoinSet<PeerId>,
    disk: Arc<Semaphore>,
    incoming: mpsc::Receiver<(PeerId, Message)>,
    incoming_sender: mpsc::Sender<(PeerId, Message)>,
}

impl Exchange {
    pub(super) fn new(config: engine::Config, seed: u64, store: Store, control: Control) -> Self {
        let (incoming_sender, incoming) = mpsc::channel(16);
        Self {
            engine: Engine::new(config, seed),
            start: Instant::now(),
            store,
            control,
            links: BTreeMap::new(),
            visits: 0,
            waiting: BTreeMap::new(),
            arrived: BTreeMap::new(),
            storing: 0,
            work: JoinSet::new(),
            readers: JoinSet::new(),
            disk: Arc::new(Semaphore::new(DISK_WORKERS)),
            incoming,
            incoming_sender,
        }
    }

    pub(super) fn statistics(&self) -> Statistics {
        self.engine.statistics()
    }

    pub(super) fn connected(&mut self, peer: PeerId) {
        self.visits += 1;
        self.links.insert(peer, Link { visit: self.visits, stream: None, readers: 0, used: Instant::now() });
        self.engine.connected(self.now(), peer);
        self.carry_out();
    }

    pub(super) fn disconnected(&mut self, peer: PeerId) {
        self.links.remove(&peer);
        self.engine.disconnected(self.now(), peer);
        self.carry_out();
    }

    /// Starts to read a stream that a peer opened.
    pub(super) fn opened(&mut self, peer: PeerId, stream: Stream) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        if link.readers >= MAX_STREAMS_PER_PEER {
            return tracing::debug!(%peer, "a peer opened too many streams");
        }
        link.readers += 1;
        let messages = self.incoming_sender.clone();
        self.readers.spawn(async move {
            streams::read_messages(peer, stream, messages).await;
            peer
        });
    }

    /// Wants a block; `reply` gets it once it is stored. Dropping the other end of `reply` ends the want.
    pub(super) fn want(&mut self, cid: Cid, reply: oneshot::Sender<Delivery>) {
        if self.store.contains(&cid) {
            // It came since the fetch looked; without an answer the fetch looks again.
            return;
        }
        match self.engine.want(self.now(), cid) {
            Ok(()) => {
                let waiting = self.waiting.entry(BlockKey::of(&cid));
                waiting.or_insert_with(|| Waiting { cid, replies: Vec::new() }).replies.push(reply);
            }
            Err(error) => drop(reply.send(Err(error.into()))),
        }
        self.carry_out();
    }

    /// A block was stored by somebody else.
    pub(super) fn stored(&mut self, cid: &Cid, size: usize) {
        self.engine.stored(self.now(), cid, size);
        self.carry_out();
    }

    /// Ends the wants whose fetches are gone.
    pub(super) fn tidy(&mut self) {
        let (now, engine) = (self.now(), &mut self.engine);
        self.waiting.retain(|_, waiting| {
            let before = waiting.replies.len();
            waiting.replies.retain(|reply| !reply.is_closed());
            for _ in waiting.replies.len()..before {
                engine.cancel(now, &waiting.cid);
            }
            !waiting.replies.is_empty()
        });
        self.carry_out();
    }

    /// Waits for the next thing that happens, and handles it. May be cancelled at any time.
    pub(super) async fn step(&mut self) {
        let wake = self.engine.next_wake().map(|at| self.start + at);
        tokio::select! {
            Some(done) = self.work.join_next() => self.done(done),
            Some(ended) = self.readers.join_next() => self.reader_ended(ended),
            Some((peer, message)) = self.incoming.recv(), if self.storing < MAX_STORING => {
                self.used(peer);
                self.engine.received(self.now(), peer, message);
            }
            () = sleep_until(wake) => self.engine.tick(self.now()),
        }
        self.carry_out();
    }

    /// Waits until all blocks that arrived are stored.
    pub(super) async fn finish(&mut self) {
        self.readers.abort_all();
        while self.storing > 0 {
            let Some(done) = self.work.join_next().await else {
                return;
            };
            self.done(done);
        }
    }

    /// The peers to whom and from whom nothing was said for so long, and how long it was.
    pub(super) fn unused_for(&self, least: Duration) -> Vec<(PeerId, Duration)> {
        let idle = self.links.iter().map(|(peer, link)| (*peer, link.used.elapsed()));
        idle.filter(|(_, idle)| *idle >= least).collect()
    }

    fn used(&mut self, peer: PeerId) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.used = Instant::now();
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn reader_ended(&mut self, ended: Result<PeerId, JoinError>) {
        // A reader that panicked cannot say whose it was; its place stays taken until the peer connects anew.
        if let Some(link) = ended.ok().and_then(|peer| self.links.get_mut(&peer)) {
            link.readers = link.readers.saturating_sub(1);
        }
    }

    fn done(&mut self, done: Result<Done, JoinError>) {
        match done {
            Ok(Done::Sent { peer, visit, result }) if self.is_current(peer, visit) => self.sent(peer, result),
            Ok(Done::Loaded { peer, visit, blocks, missing }) if self.is_current(peer, visit) => {
                self.engine.loaded(peer, blocks, &missing);
            }
            Ok(Done::Stored { cid, data, result }) => self.block_stored(&cid, data, result),
            Ok(Done::Sent { .. } | Done::Loaded { .. }) => {}
            Err(error) => tracing::error!(%error, "a worker of the exchange died"),
        }
    }

    fn is_current(&self, peer: PeerId, visit: u64) -> bool {
        self.links.get(&peer).is_some_and(|link| link.visit == visit)
    }

    fn sent(&mut self, peer: PeerId, result: Result<Stream, SendError>) {
        let now = self.now();
        match (result, self.links.get_mut(&peer)) {
            (Ok(stream), Some(link)) => {
                link.stream = Some(stream);
                self.engine.sent(peer);
            }
            (Err(SendError::Unsupported), _) => self.engine.disconnected(now, peer),
            (Err(SendError::Broken), _) => self.engine.send_failed(now, peer),
            (Ok(_), None) => {}
        }
    }

    fn block_stored(&mut self, cid: &Cid, data: Bytes, result: Result<(), StoreError>) {
        self.storing -= 1;
        match result {
            Ok(()) => {
                let size = data.len();
                self.arrived.insert(BlockKey::of(cid), data);
                self.engine.stored(self.now(), cid, size);
                self.carry_out();
                // Nobody takes it when the want was cancelled while it was being stored.
                self.arrived.remove(&BlockKey::of(cid));
            }
            Err(error) => {
                tracing::warn!(%cid, %error, "a block could not be stored");
                self.engine.abandon(self.now(), cid);
                self.deliver(cid, &Err(WantError::Store(Arc::new(error))));
            }
        }
    }

    fn deliver(&mut self, cid: &Cid, delivery: &Delivery) {
        let waiting = self.waiting.remove(&BlockKey::of(cid));
        for reply in waiting.into_iter().flat_map(|waiting| waiting.replies) {
            let _ = reply.send(delivery.clone());
        }
    }

    /// Does what the engine wants done.
    fn carry_out(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Send { peer, message } => self.send(peer, message),
                Output::LookUp { peer, cids } => {
                    let answers: Vec<_> =
                        cids.into_iter().map(|cid| (cid, self.store.size_of(&cid))).collect();
                    self.engine.looked_up(peer, answers);
                }
                Output::Load { peer, cids } => self.load(peer, cids),
                Output::Store { cid, data, .. } => self.store_block(cid, data),
                Output::Satisfied { cid } => self.satisfied(&cid),
            }
        }
    }

    fn satisfied(&mut self, cid: &Cid) {
        match self.arrived.remove(&BlockKey::of(cid)) {
            Some(data) => self.deliver(cid, &Ok(data)),
            // Added here meanwhile: who waits finds it in the store.
            None => drop(self.waiting.remove(&BlockKey::of(cid))),
        }
    }

    fn send(&mut self, peer: PeerId, message: Message) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        link.used = Instant::now();
        let (visit, stream, control) = (link.visit, link.stream.take(), self.control.clone());
        self.work.spawn(async move {
            let result = streams::send(control, peer, stream, message).await;
            if matches!(result, Err(SendError::Broken)) {
                tokio::time::sleep(RETRY_DELAY).await;
            }
            Done::Sent { peer, visit, result }
        });
    }

    fn load(&mut self, peer: PeerId, cids: Vec<Cid>) {
        let Some(visit) = self.links.get(&peer).map(|link| link.visit) else {
            return;
        };
        let (store, disk) = (self.store.clone(), self.disk.clone());
        self.work.spawn(async move {
            let _permit = disk.acquire_owned().await;
            let all = cids.clone();
            let read = tokio::task::spawn_blocking(move || read_blocks(&store, cids)).await;
            let (blocks, missing) = read.unwrap_or((Vec::new(), all));
            Done::Loaded { peer, visit, blocks, missing }
        });
    }

    fn store_block(&mut self, cid: Cid, data: Bytes) {
        self.storing += 1;
        let (store, disk, copy) = (self.store.clone(), self.disk.clone(), data.clone());
        self.work.spawn(async move {
            let _permit = disk.acquire_owned().await;
            let result = super::blocking(move || store.put(&cid, &copy)).await;
            Done::Stored { cid, data, result }
        });
    }
}

fn read_blocks(store: &Store, cids: Vec<Cid>) -> (Vec<Block>, Vec<Cid>) {
    let (mut blocks, mut missing) = (Vec::new(), Vec::new());
    for cid in cids {
        match store.get(&cid) {
            Ok(Some(data)) => blocks.push(Block { cid, data }),
            Ok(None) => missing.push(cid),
            Err(error) => {
                tracing::warn!(%cid, %error, "a block could not be read");
                missing.push(cid);
            }
        }
    }
    (blocks, missing)
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
