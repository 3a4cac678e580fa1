//! How fast bytes may come and go: one limit for each direction, near and far, shared by all peers there.
//!
//! A token bucket for each of the four. Whoever has to wait for one stands in a queue, each peer with one piece at a time, so
//! that all peers get as much. Pieces are small at low rates: the queue moves on, and no time-out is tripped.
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

/// How much is read or written at one time without a limit.
const PIECE_BYTES: usize = 64 * 1024;
/// How much at least.
const LEAST_PIECE_BYTES: u64 = 1024;
/// A piece takes one part of so many of a second.
const PIECES_PER_SECOND: u64 = 20;
/// What was not used may be used for so much later: it makes up for timers that are late.
const BURST: Duration = Duration::from_millis(50);
/// So much may pass without waiting, because it is short; what is longer pays for it.
const CREDIT: Duration = Duration::from_secs(1);
/// What a hundred bytes are on the wire with their headers: Ethernet, IP and TCP take 4.5 % of full frames, less where the
/// network card cuts them.
const PERCENT_ON_THE_WIRE: u64 = 103;

/// Bytes in a second; none for no limit. Near is who is on one of this host's own networks, far is everybody else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// What goes to those near.
    pub lan_up: Option<u64>,
    /// What comes from them.
    pub lan_down: Option<u64>,
    /// What goes to those far.
    pub wan_up: Option<u64>,
    /// What comes from them.
    pub wan_down: Option<u64>,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

/// How much passed between this node and a peer since it is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTraffic {
    /// Whom.
    pub peer: PeerId,
    /// Whether it is on one of this host's own networks.
    pub is_near: bool,
    /// Bytes to it, and in a second lately.
    pub up: (u64, u64),
    /// Bytes from it, and in a second lately.
    pub down: (u64, u64),
}

/// The limits of a node, and its peers' shares in them.
#[derive(Debug, Default)]
pub(super) struct Limits {
    /// In the order of [`Limits::bucket`].
    buckets: [Bucket; 4],
    links: Mutex<BTreeMap<PeerId, Connections>>,
    networks: Mutex<Networks>,
}

#[derive(Debug)]
struct Connections {
    share: Arc<Share>,
    /// Whether each leads to somebody near.
    near: BTreeMap<ConnectionId, bool>,
}

impl Limits {
    pub(super) fn set(&self, rates: Rates) {
        let Rates { lan_up, lan_down, wan_up, wan_down } = rates;
        for (bucket, rate) in self.buckets.iter().zip([lan_up, lan_down, wan_up, wan_down]) {
            bucket.set(rate);
        }
    }

    #[cfg(test)]
    fn rates(&self) -> Rates {
        let [lan_up, lan_down, wan_up, wan_down] = self.buckets.each_ref().map(Bucket::rate);
        Rates { lan_up, lan_down, wan_up, wan_down }
    }

    /// Notes a connection. A peer that is reached in several ways is far if one of them is, since nobody knows by which a
    /// stream goes.
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

    /// Forgets a connection.
    pub(super) fn closed(&self, peer: &PeerId, connection: ConnectionId) {
        let mut links = lock(&self.links);
        let Some(link) = links.get_mut(peer) else { return };
        link.near.remove(&connection);
        link.place();
        if link.near.is_empty() {
            links.remove(peer);
        }
    }

    /// What a connected peer has to keep to.
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

    /// Returns what has passed between this node and a peer up to now.
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

/// What one peer has of the limits.
#[derive(Debug)]
pub(super) struct Share {
    limits: Arc<Limits>,
    is_near: AtomicBool,
    up: DirectionState,
    down: DirectionState,
}

#[derive(Debug, Default)]
struct DirectionState {
    /// One piece at a time, however many streams there are.
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

    /// How much to read or write at one time.
    pub(super) fn piece_bytes(&self, direction: Direction) -> usize {
        let rate = self.bucket(direction).rate().unwrap_or(u64::MAX);
        let piece = (rate / PIECES_PER_SECOND).max(LEAST_PIECE_BYTES);
        usize::try_from(piece).unwrap_or(usize::MAX).min(PIECE_BYTES)
    }

    /// Returns when so many bytes may pass.
    pub(super) async fn pass(&self, direction: Direction, bytes: usize) {
        let state = self.state(direction);
        lock(&state.meter).count(bytes as u64);
        if self.bucket(direction).rate().is_some() {
            let _one_at_a_time = state.piece.lock().await;
            self.bucket(direction).pass(bytes as u64).await;
        }
    }

    /// Lets a short message pass before longer ones: these wait for it in turn.
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

/// What may pass in one direction, near or far.
#[derive(Debug)]
struct Bucket {
    rate: watch::Sender<Option<u64>>,
    /// Those who wait, in the order in which they came.
    queue: tokio::sync::Mutex<()>,
    /// Until when the time is used up for what passed already.
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

    /// Waits until no more time than `credit` is used up, then uses what these bytes take. Another rate counts at once.
    async fn wait(&self, bytes: u64, credit: Duration) {
        let mut rates = self.rate.subscribe();
        loop {
            let Some(rate) = *rates.borrow_and_update() else { return };
            let Err(later) = self.take(time_for(bytes, rate), credit) else { return };
            tokio::select! {
                () = sleep_until(later) => {}
                // The sender lives as long as this bucket.
                _ = rates.changed() => {}
            }
        }
    }

    /// Uses so much time, or tells when to ask again.
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
    // What is inside is changed by single calls that leave it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    fn limits(rates: Rates) -> Arc<Limits> {
        let limits = Arc::new(Limits::default());
        limits.set(rates);
        limits
    }

    fn peer(limits: &Arc<Limits>, number: usize, at: &str) -> (PeerId, Arc<Share>) {
        let peer = Keypair::generate_ed25519().public().to_peer_id();
        limits.opened(peer, ConnectionId::new_unchecked(number), &at.parse().unwrap());
        (peer, limits.share(&peer))
    }

    /// How many bytes pass in a time, in pieces as streams have them.
    async fn passed(share: &Share, direction: Direction, within: Duration) -> u64 {
        let end = Instant::now() + within;
        let mut sum = 0;
        while tokio::time::timeout_at(end, share.pass(direction, share.piece_bytes(direction))).await.is_ok()
        {
            sum += share.piece_bytes(direction) as u64;
        }
        sum
    }

    const SECONDS: Duration = Duration::from_secs(30);

    fn assert_near(bytes: u64, expected: f64) {
        let share = bytes as f64 / expected;
        assert!((0.96..1.01).contains(&share), "{bytes} of {expected}");
    }

    #[tokio::test(start_paused = true)]
    async fn each_way_keeps_to_its_own_rate() {
        let rates = Rates { lan_up: Some(1_000_000), wan_up: Some(30_000), ..Rates::default() };
        let limits = limits(rates);
        assert_eq!(limits.rates(), rates);
        let (_, near) = peer(&limits, 1, "/ip4/127.0.0.1/tcp/1");
        let (_, far) = peer(&limits, 2, "/ip4/203.0.113.7/tcp/1");
        let (near, far) =
            tokio::join!(passed(&near, Direction::Up, SECONDS), passed(&far, Direction::Up, SECONDS));
        assert_near(near, 30e6 / 1.03);
        assert_near(far, 900e3 / 1.03);
    }

    #[tokio::test(start_paused = true)]
    async fn peers_share_evenly_however_many_streams_they_have() {
        let limits = limits(Rates { wan_down: Some(300_000), ..Rates::default() });
        let [a, b] = [1, 2].map(|number| peer(&limits, number, "/ip4/203.0.113.7/tcp/1").1);
        let down = |share| passed(share, Direction::Down, SECONDS);
        let (a, b, also_b, more_b) = tokio::join!(down(&a), down(&b), down(&b), down(&b));
        let b = b + also_b + more_b;
        assert_near(a + b, 9e6 / 1.03);
        assert!(a.abs_diff(b) < 200_000, "{a} and {b}");
    }

    #[tokio::test(start_paused = true)]
    async fn another_rate_counts_at_once_and_none_at_all_frees() {
        let limits = limits(Rates { wan_up: Some(1), ..Rates::default() });
        let (_, share) = peer(&limits, 1, "/ip4/203.0.113.7/tcp/1");
        let begun = Instant::now();
        share.pass(Direction::Up, 1000).await;
        let waiting = tokio::spawn(async move {
            share.pass(Direction::Up, 1000).await;
            share.pass(Direction::Up, 1_000_000_000).await;
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished());
        limits.set(Rates::default());
        waiting.await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn short_messages_go_first_and_are_paid_for_by_the_others() {
        let limits = limits(Rates { lan_up: Some(100_000), ..Rates::default() });
        let (_, share) = peer(&limits, 1, "/ip4/127.0.0.1/tcp/1");
        let begun = Instant::now();
        share.pass(Direction::Up, 50_000).await;
        share.pass_first(Direction::Up, 10_000).await;
        assert_eq!(begun.elapsed(), Duration::ZERO);
        share.pass(Direction::Up, 1).await;
        assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
        // Whoever sends many of them waits, too.
        let flood = async {
            for _ in 0..100 {
                share.pass_first(Direction::Up, 10_000).await;
            }
        };
        flood.await;
        assert!(begun.elapsed() >= Duration::from_secs(9), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn whoever_is_reached_far_as_well_is_far() {
        let limits = limits(Rates::default());
        let (peer, share) = peer(&limits, 1, "/ip4/127.0.0.1/tcp/1");
        assert!(share.is_near.load(Ordering::Relaxed));
        let second = ConnectionId::new_unchecked(2);
        limits.opened(peer, second, &"/ip4/203.0.113.7/udp/1/quic-v1".parse().unwrap());
        assert!(!share.is_near.load(Ordering::Relaxed));
        limits.closed(&peer, second);
        assert!(share.is_near.load(Ordering::Relaxed));
        limits.closed(&peer, ConnectionId::new_unchecked(1));
        assert!(limits.traffic().is_empty());
    }
}
