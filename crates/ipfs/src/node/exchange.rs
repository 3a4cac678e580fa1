//! The I/O shell of the Bitswap engine: carries out its outputs with streams and the store.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bitswap::engine::{self, Engine, Output, Statistics};
use bitswap::message::Message;
use bytes::Bytes;
use cid::Cid;
use libp2p::{PeerId, Stream};
use libp2p_stream::Control;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};

use super::half_read::HalfRead;
use super::limits::Limits;
use super::link::{self, Link};
use super::serving::Serving;
use super::streams::{self, SendError};
use super::work::{self, Disk, Done};
use crate::store::{BlockKey, Store, StoreError};

/// Maximum number of blocks that wait to be stored. When it is reached, no further messages are processed.
const MAX_STORING: usize = 64;
/// Answer to a want: the block and the peer that sent it, or an error.
pub(super) type Delivery = Result<(Bytes, PeerId), WantError>;

/// Error that ends a want without a block.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum WantError {
    #[error(transparent)]
    TooMany(#[from] engine::TooManyWants),
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
}

/// The callers that wait for one block.
struct Waiting {
    cid: Cid,
    replies: Vec<oneshot::Sender<Delivery>>,
}

/// A request of the exchange to the driver.
pub(super) enum Request {
    /// Open a new connection with this peer: the present one is dead.
    Reconnect(PeerId),
    /// Ban this peer for ten minutes, for this reason.
    LeaveAside(PeerId, &'static str),
}

pub(super) struct Exchange {
    engine: Engine<PeerId>,
    start: Instant,
    store: Store,
    control: Control,
    limits: Arc<Limits>,
    links: BTreeMap<PeerId, Link>,
    visits: u64,
    waiting: BTreeMap<BlockKey, Waiting>,
    /// Blocks that have arrived and whose want has not ended yet.
    arrived: BTreeMap<BlockKey, (Bytes, PeerId)>,
    storing: usize,
    work: JoinSet<Done>,
    readers: JoinSet<PeerId>,
    half_read: HalfRead,
    disk: Disk,
    incoming: mpsc::Receiver<(PeerId, Message)>,
    incoming_sender: mpsc::Sender<(PeerId, Message)>,
    requests: Vec<Request>,
}

impl Exchange {
    pub(super) fn new(
        config: engine::Config,
        me: PeerId,
        store: Store,
        control: Control,
        limits: Arc<Limits>,
    ) -> Self {
        let (incoming_sender, incoming) = mpsc::channel(16);
        let disk = Disk::new(store.clone());
        Self {
            engine: Engine::new(config, token(&me)),
            start: Instant::now(),
            store,
            control,
            limits,
            links: BTreeMap::new(),
            visits: 0,
            waiting: BTreeMap::new(),
            arrived: BTreeMap::new(),
            storing: 0,
            work: JoinSet::new(),
            readers: JoinSet::new(),
            half_read: HalfRead::default(),
            disk,
            incoming,
            incoming_sender,
            requests: Vec::new(),
        }
    }

    pub(super) fn statistics(&self) -> Statistics {
        self.engine.statistics()
    }

    pub(super) fn connected(&mut self, peer: PeerId) {
        self.visits += 1;
        self.links.insert(peer, Link::new(self.visits, self.limits.share(&peer)));
        self.engine.connected(self.now(), peer, token(&peer));
        self.carry_out();
    }

    /// Handles the end of one of several connections with a peer. The last message may be lost with it, so all wants
    /// are sent again over another connection.
    pub(super) fn one_closed(&mut self, peer: PeerId) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        self.visits += 1;
        (link.sending, link.stream) = (self.visits, None);
        self.engine.send_failed(self.now(), peer);
        self.carry_out();
    }

    pub(super) fn disconnected(&mut self, peer: PeerId) {
        self.links.remove(&peer);
        self.engine.disconnected(self.now(), peer);
        self.carry_out();
    }

    pub(super) fn opened(&mut self, peer: PeerId, source: Option<IpAddr>, stream: Stream) {
        let is_crowded = link::is_crowded(&self.links, source);
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        link.source = source;
        if link.has_too_many() || is_crowded {
            return tracing::debug!(%peer, "a peer opened too many streams");
        }
        link.readers += 1;
        let (messages, counts) = (self.incoming_sender.clone(), (link.coming.clone(), link.share.clone()));
        let half_read = self.half_read.clone();
        self.readers.spawn(async move {
            streams::read_messages((peer, source), stream, (counts, half_read), messages).await;
            peer
        });
    }

    /// Requests a block. `reply` receives it once it is stored. Dropping the receiver of `reply` ends the want.
    pub(super) fn want(&mut self, cid: Cid, priority: i32, reply: oneshot::Sender<Delivery>) {
        if self.store.contains(&cid) {
            // The block arrived after the caller looked into the store. The caller looks again, because `reply` is
            // dropped.
            return;
        }
        match self.engine.want(self.now(), cid, priority) {
            Ok(()) => {
                let waiting = self.waiting.entry(BlockKey::of(&cid));
                waiting.or_insert_with(|| Waiting { cid, replies: Vec::new() }).replies.push(reply);
            }
            Err(error) => drop(reply.send(Err(error.into()))),
        }
        self.carry_out();
    }

    /// Tells the engine that a block was stored without the exchange.
    pub(super) fn stored(&mut self, cid: &Cid, size: usize) {
        self.engine.stored(self.now(), cid, size);
        self.carry_out();
    }

    /// Ends the wants whose callers are gone.
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

    /// Waits for the next event and handles it. Cancel safe.
    pub(super) async fn step(&mut self) {
        let wake = self.engine.next_wake().map(|at| self.start + at);
        tokio::select! {
            Some(done) = self.work.join_next() => self.done(done),
            Some(ended) = self.readers.join_next() => self.reader_ended(ended),
            Some((peer, message)) = self.incoming.recv(), if self.storing < MAX_STORING => {
                self.heard(peer);
                self.tell_coming(peer);
                self.engine.received(self.now(), peer, message);
            }
            () = sleep_until(wake) => {
                let peers: Vec<PeerId> = self.links.keys().copied().collect();
                peers.into_iter().for_each(|peer| self.tell_coming(peer));
                self.engine.tick(self.now());
            }
        }
        self.carry_out();
    }

    /// Waits until all blocks that have arrived are stored.
    pub(super) async fn finish(&mut self) {
        self.readers.abort_all();
        while self.storing > 0 {
            let Some(done) = self.work.join_next().await else {
                return;
            };
            self.done(done);
        }
    }

    /// Returns the peers that were idle, in both directions, for at least `least`, with the idle time of each.
    pub(super) fn unused_for(&self, least: Duration) -> Vec<(PeerId, Duration)> {
        let idle = self.links.iter().map(|(peer, link)| (*peer, link.used.elapsed()));
        idle.filter(|(_, idle)| *idle >= least).collect()
    }

    /// Returns whether a message of this peer arrived within `time`.
    pub(super) fn is_heard_within(&self, peer: &PeerId, time: Duration) -> bool {
        self.links.get(peer).is_some_and(|link| link.heard.elapsed() < time)
    }

    /// Removes and returns the queued requests to the driver.
    pub(super) fn take_requests(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.requests)
    }

    /// Reports received bytes to the engine, also those of messages that are still incomplete.
    fn tell_coming(&mut self, peer: PeerId) {
        let bytes = self.links.get(&peer).map_or(0, |link| link.coming.swap(0, Ordering::Relaxed));
        if bytes > 0 {
            self.engine.receiving(self.now(), peer, bytes);
        }
    }

    fn heard(&mut self, peer: PeerId) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.used = Instant::now();
            link.heard = link.used;
        }
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn reader_ended(&mut self, ended: Result<PeerId, JoinError>) {
        // A reader that panicked does not return its peer. Its slot stays used until the peer connects again.
        if let Some(link) = ended.ok().and_then(|peer| self.links.get_mut(&peer)) {
            link.readers = link.readers.saturating_sub(1);
        }
    }

    fn done(&mut self, done: Result<Done, JoinError>) {
        match done {
            Ok(Done::Sent { peer, sending, result }) if self.is_sending(peer, sending) => {
                self.sent(peer, result)
            }
            Ok(Done::Loaded { peer, visit, blocks, missing }) if self.is_current(peer, visit) => {
                self.engine.loaded(peer, blocks, &missing);
            }
            Ok(Done::Stored { cid, block, result }) => self.block_stored(&cid, block, result),
            Ok(Done::Sent { .. } | Done::Loaded { .. }) => {}
            Err(error) => tracing::error!(%error, "a worker task of the exchange failed"),
        }
    }

    fn is_current(&self, peer: PeerId, visit: u64) -> bool {
        self.links.get(&peer).is_some_and(|link| link.visit == visit)
    }

    fn is_sending(&self, peer: PeerId, sending: u64) -> bool {
        self.links.get(&peer).is_some_and(|link| link.sending == sending)
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

    fn block_stored(&mut self, cid: &Cid, block: (Bytes, PeerId), result: Result<(), StoreError>) {
        self.storing -= 1;
        match result {
            Ok(()) => {
                let size = block.0.len();
                self.arrived.insert(BlockKey::of(cid), block);
                self.engine.stored(self.now(), cid, size);
                self.carry_out();
                // The block is still there if the want was cancelled while it was being stored.
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

    /// Carries out the outputs of the engine.
    fn carry_out(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Send { peer, message } => self.send(peer, message),
                Output::LookUp { peer, cids } => {
                    let serving = self.serving(&peer);
                    let size =
                        |cid: &Cid| self.store.size_of(cid).filter(|_| serving.includes(&self.store, cid));
                    let answers: Vec<_> = cids.into_iter().map(|cid| (cid, size(&cid))).collect();
                    self.engine.looked_up(peer, answers);
                }
                Output::Load { peer, cids } => self.load(peer, cids),
                Output::Store { peer, cid, data } => self.store_block(cid, (data, peer)),
                Output::Satisfied { cid } => self.satisfied(&cid),
                Output::Reconnect { peer } => self.reconnect(peer),
                Output::LeaveAside { peer, reason } => self.requests.push(Request::LeaveAside(peer, reason)),
            }
        }
    }

    /// Makes the next message use a new stream, and asks the driver for a new connection.
    fn reconnect(&mut self, peer: PeerId) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.stream = None;
        }
        self.requests.push(Request::Reconnect(peer));
    }

    fn satisfied(&mut self, cid: &Cid) {
        match self.arrived.remove(&BlockKey::of(cid)) {
            Some(block) => self.deliver(cid, &Ok(block)),
            // The block was added locally meanwhile: the callers find it in the store.
            None => drop(self.waiting.remove(&BlockKey::of(cid))),
        }
    }

    fn send(&mut self, peer: PeerId, message: Message) {
        let Some(link) = self.links.get_mut(&peer) else {
            return;
        };
        link.used = Instant::now();
        let (sending, stream, share) = (link.sending, link.stream.take(), link.share.clone());
        let sent = streams::send(self.control.clone(), peer, stream, message, share);
        self.work.spawn(work::send(peer, sending, sent));
    }

    fn serving(&self, peer: &PeerId) -> Serving {
        self.links.get(peer).map_or(Serving::None, |link| link.share.serving())
    }

    fn load(&mut self, peer: PeerId, cids: Vec<Cid>) {
        let Some(visit) = self.links.get(&peer).map(|link| link.visit) else {
            return;
        };
        self.work.spawn(self.disk.clone().load((peer, visit), cids, self.serving(&peer)));
    }

    fn store_block(&mut self, cid: Cid, block: (Bytes, PeerId)) {
        self.storing += 1;
        self.work.spawn(self.disk.clone().store(cid, block));
    }
}

/// Returns the last eight bytes of a peer ID. They are part of a key or a hash, so they are evenly distributed. Every
/// node that knows the peer computes the same value.
fn token(peer: &PeerId) -> u64 {
    let bytes = peer.to_bytes();
    bytes.iter().rev().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte))
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
