//! Four rate limits: for sending to near peers, receiving from near peers, sending to far peers, and receiving from far
//! peers. All near peers share the same two limits, and all far peers the other two.
//!
//! Each limit is a token bucket. Peers that have to wait stand in a queue, each with one piece at a time, so all peers
//! get equal shares. Pieces are small at low rates, so that the queue moves on and no timeout expires.
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::meter::Meter;
use super::networks::Networks;
use super::probes::Passed;
use super::serving::{FarServing, Serving};

/// Maximum number of bytes that are read or written at one time.
const PIECE_BYTES: usize = 64 * 1024;
/// Minimum size of a piece in bytes, at any rate.
const LEAST_PIECE_BYTES: u64 = 1024;
/// Number of pieces into which one second at the configured rate is divided.
const PIECES_PER_SECOND: u64 = 20;
/// Maximum burst, as a time at the configured rate. Bytes that could have been sent in this time can be sent later. It
/// compensates for timers that fire late.
const BURST: Duration = Duration::from_millis(50);
/// Maximum time for which short messages may use up the rate in advance. While it is used up in advance, the pieces of
/// longer messages wait.
const CREDIT: Duration = Duration::from_secs(1);
/// Bytes on the wire, including headers, for 100 bytes of payload. Ethernet, IP and TCP add 4.5 % to full frames, and
/// less where the network card splits the segments. The value lies in between.
const PERCENT_ON_THE_WIRE: u64 = 103;

/// Rate limits in bytes per second; `None` means no limit. Near peers are those on one of this host's own networks; all
/// other peers are far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Limit for bytes sent to near peers.
    pub lan_up: Option<u64>,
    /// Limit for bytes received from near peers.
    pub lan_down: Option<u64>,
    /// Limit for bytes sent to far peers.
    pub wan_up: Option<u64>,
    /// Limit for bytes received from far peers.
    pub wan_down: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

/// Traffic between this node and a peer since the peer connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTraffic {
    /// Peer ID of the peer.
    pub peer: PeerId,
    /// Whether the peer is on one of this host's own networks.
    pub is_near: bool,
    /// Bytes sent to the peer: in total, and per second in the last seconds.
    pub up: (u64, u64),
    /// Bytes received from the peer: in total, and per second in the last seconds.
    pub down: (u64, u64),
}

/// The rate limits of a node, and the share of each peer in them.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// The blocks that far peers may get.
    far: FarServing,
    /// Buckets in the order of the fields of [`Rates`].
    buckets: [Bucket; 4],
    links: Mutex<BTreeMap<PeerId, Connections>>,
    networks: Mutex<Networks>,
}

#[derive(Debug)]
struct Connections {
    share: Arc<Share>,
    /// Whether each connection leads to a near address.
    near: BTreeMap<ConnectionId, bool>,
}

impl Limits {
    pub(super) fn set(&self, rates: Rates) {
        let Rates { lan_up, lan_down, wan_up, wan_down } = rates;
        for (bucket, rate) in self.buckets.iter().zip([lan_up, lan_down, wan_up, wan_down]) {
            bucket.set(rate);
        }
    }

    /// Sets which blocks far peers may get.
    pub(super) fn serve_far(&self, serving: Serving) {
        self.far.set(serving);
    }

    #[cfg(test)]
    fn rates(&self) -> Rates {
        let [lan_up, lan_down, wan_up, wan_down] = self.buckets.each_ref().map(Bucket::rate);
        Rates { lan_up, lan_down, wan_up, wan_down }
    }

    /// Records a new connection. A peer counts as far if one of its connections is far, because a stream may use any of
    /// them.
    pub(super) fn opened(self: &Arc<Self>, peer: PeerId, connection: ConnectionId, at: &Multiaddr) {
        let is_near = lock(&self.networks).fresh().is_near(at);
        let mut links = lock(&self.links);
        let link = links.entry(peer).or_insert_with(|| Connections {
            share: Arc::new(Share::new(Arc::clone(self))),
            near: BTreeMap::new(),
        });
        link.near.insert(connection, is_near);
        link.place();
    }

    /// Removes a closed connection.
    pub(super) fn closed(&self, peer: &PeerId, connection: ConnectionId) {
        let mut links = lock(&self.links);
        let Some(link) = links.get_mut(peer) else { return };
        link.near.remove(&connection);
        link.place();
        if link.near.is_empty() {
            links.remove(peer);
        }
    }

    /// Returns the share of a connected peer in the limits.
    pub(super) fn share(self: &Arc<Self>, peer: &PeerId) -> Arc<Share> {
        let known = lock(&self.links).get(peer).map(|link| Arc::clone(&link.share));
        known.unwrap_or_else(|| Arc::new(Share::new(Arc::clone(self))))
    }

    pub(super) fn traffic(&self) -> Vec<LinkTraffic> {
        let links = lock(&self.links);
        links.iter().map(|(peer, link)| link.share.traffic(*peer)).collect()
    }

    /// Returns the networks of this host.
    pub(super) fn networks(&self) -> Networks {
        lock(&self.networks).fresh().clone()
    }

    /// Returns the bytes exchanged with a peer so far.
    pub(super) fn passed(&self, peer: &PeerId) -> Passed {
        let links = lock(&self.links);
        let traffic = links.get(peer).map(|link| link.share.traffic(*peer));
        traffic.map_or_else(Passed::default, |traffic| Passed { up: traffic.up.0, down: traffic.down.0 })
    }

    fn bucket(&self, is_near: bool, direction: Direction) -> &Bucket {
        let [lan_up, lan_down, wan_up, wan_down] = &self.buckets;
        match (is_near, direction) {
            (true, Direction::Up) => lan_up,
            (true, Direction::Down) => lan_down,
            (false, Direction::Up) => wan_up,
            (false, Direction::Down) => wan_down,
        }
    }
}

impl Connections {
    fn place(&self) {
        let is_near = self.near.values().all(|near| *near);
        self.share.is_near.store(is_near, Ordering::Relaxed);
    }
}

/// The share of one peer in the limits.
#[derive(Debug)]
pub(super) struct Share {
    limits: Arc<Limits>,
    is_near: AtomicBool,
    up: DirectionState,
    down: DirectionState,
}

#[derive(Debug, Default)]
struct DirectionState {
    /// Lets only one piece of this peer wait at a time, even if the peer has many streams.
    piece: tokio::sync::Mutex<()>,
    meter: Mutex<Meter>,
}

impl Share {
    fn new(limits: Arc<Limits>) -> Self {
        Self {
            limits,
            is_near: AtomicBool::default(),
            up: DirectionState::default(),
            down: DirectionState::default(),
        }
    }

    /// Returns the blocks of this node that the peer may get.
    pub(super) fn serving(&self) -> Serving {
        if self.is_near.load(Ordering::Relaxed) { Serving::All } else { self.limits.far.get() }
    }

    /// Returns the number of bytes to read or write at one time.
    pub(super) fn piece_bytes(&self, direction: Direction) -> usize {
        let rate = self.bucket(direction).rate().unwrap_or(u64::MAX);
        let piece = (rate / PIECES_PER_SECOND).max(LEAST_PIECE_BYTES);
        usize::try_from(piece).unwrap_or(usize::MAX).min(PIECE_BYTES)
    }

    /// Waits until this number of bytes may pass.
    pub(super) async fn pass(&self, direction: Direction, bytes: usize) {
        let state = self.state(direction);
        lock(&state.meter).count(bytes as u64);
        if self.bucket(direction).rate().is_some() {
            let _one_at_a_time = state.piece.lock().await;
            self.bucket(direction).pass(bytes as u64).await;
        }
    }

    /// Lets a short message pass without waiting in the queue. Its bytes count against the rate, so the pieces of
    /// longer messages wait longer.
    pub(super) async fn pass_first(&self, direction: Direction, bytes: usize) {
        lock(&self.state(direction).meter).count(bytes as u64);
        self.bucket(direction).pass_first(bytes as u64).await;
    }

    fn state(&self, direction: Direction) -> &DirectionState {
        match direction {
            Direction::Up => &self.up,
            Direction::Down => &self.down,
        }
    }

    fn bucket(&self, direction: Direction) -> &Bucket {
        self.limits.bucket(self.is_near.load(Ordering::Relaxed), direction)
    }

    fn traffic(&self, peer: PeerId) -> LinkTraffic {
        let [up, down] = [&self.up, &self.down].map(|state| lock(&state.meter).read());
        LinkTraffic { peer, is_near: self.is_near.load(Ordering::Relaxed), up, down }
    }
}

/// The token bucket of one direction, for near or for far peers.
#[derive(Debug)]
struct Bucket {
    rate: watch::Sender<Option<u64>>,
    /// First-in, first-out queue of the peers that wait.
    queue: tokio::sync::Mutex<()>,
    /// Time at which all bytes so far would have passed at exactly the configured rate. It is in the future while the
    /// rate is used up in advance.
    used: Mutex<Option<Instant>>,
}

impl Default for Bucket {
    fn default() -> Self {
        Self { rate: watch::Sender::new(None), queue: Default::default(), used: Mutex::default() }
    }
}

impl Bucket {
    fn set(&self, rate: Option<u64>) {
        self.rate.send_if_modified(|known| std::mem::replace(known, rate) != rate);
    }

    fn rate(&self) -> Option<u64> {
        *self.rate.borrow()
    }

    async fn pass(&self, bytes: u64) {
        let _queue = self.queue.lock().await;
        self.wait(bytes, Duration::ZERO).await;
    }

    async fn pass_first(&self, bytes: u64) {
        if self.rate().is_some() {
            self.wait(bytes, CREDIT).await;
        }
    }

    /// Waits until the rate is used up in advance for at most `credit`, then counts these bytes. A new rate takes
    /// effect at once.
    async fn wait(&self, bytes: u64, credit: Duration) {
        let mut rates = self.rate.subscribe();
        loop {
            let Some(rate) = *rates.borrow_and_update() else { return };
            let Err(later) = self.take(time_for(bytes, rate), credit) else { return };
            tokio::select! {
                () = sleep_until(later) => {}
                // The sender lives as long as this bucket, so this cannot fail.
                _ = rates.changed() => {}
            }
        }
    }

    /// Reserves this amount of time, or returns the time at which the caller must try again.
    fn take(&self, time: Duration, credit: Duration) -> Result<(), Instant> {
        let now = Instant::now();
        let mut used = lock(&self.used);
        let until = used.unwrap_or(now);
        if until > now + credit {
            return Err(until - credit);
        }
        let unused = now.checked_sub(BURST).unwrap_or(now);
        *used = Some(until.max(unused) + time);
        Ok(())
    }
}

fn time_for(bytes: u64, rate: u64) -> Duration {
    let on_the_wire = bytes.saturating_mul(PERCENT_ON_THE_WIRE) / 100;
    Duration::from_secs_f64((on_the_wire as f64 / rate.max(1) as f64).min(3600.0))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is a single call that leaves the value consistent, so a poisoned lock is safe to use.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
