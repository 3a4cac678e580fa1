//! Persistent connections: decides when each persistent peer is dialled, and reports the state of each connection.
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::addresses;

pub(super) mod keep_alive;

/// Maximum number of addresses in the list of peers to stay connected with.
const MAX_ADDRESSES: usize = 64;
/// Shortest and longest pause between dials to one peer. The pause doubles with each failure.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// Duration of a connection after which it resets the pause to the shortest.
const GOOD: Duration = Duration::from_secs(60);

/// An address that this node stays connected with, and the state of its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersistentPeer {
    /// Address as it was passed to [`Node::keep_connected`](super::Node::keep_connected).
    pub address: Multiaddr,
    /// State of the connection.
    pub state: PersistentPeerState,
}

/// State of a connection that is kept open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PersistentPeerState {
    /// The peer is being dialled for the first time.
    Dialling,
    /// A connection is open.
    Connected,
    /// The last connection or dial failed with this message. The peer is dialled again.
    Failed(String),
    /// The address can never be dialled, for this reason.
    Unfit(String),
}

/// The next step of the driver.
pub(super) enum Step {
    /// The list was changed and must be read again.
    Changed,
    /// There is nothing to do.
    Nothing,
    /// Dial this peer, unless it is connected.
    Dial(PeerId, Vec<Multiaddr>),
}

struct Peer {
    /// Each address as it was given, and without its `/p2p/ID` part.
    addresses: Vec<(Multiaddr, Multiaddr)>,
    state: PersistentPeerState,
    /// Number of failures since the last good connection.
    failures: u32,
    /// Time of the next dial; `None` while connected or dialling.
    due: Option<Instant>,
    connected_at: Option<Instant>,
}

type LookedUp = (PeerId, (Vec<Multiaddr>, Vec<String>));

pub(super) struct PersistentLinks {
    me: PeerId,
    is_private: bool,
    wanted: watch::Receiver<Vec<Multiaddr>>,
    peers: BTreeMap<PeerId, Peer>,
    unfit: Vec<PersistentPeer>,
    look_ups: JoinSet<LookedUp>,
    random: ChaCha8Rng,
    chosen: watch::Sender<Arc<BTreeSet<PeerId>>>,
    told: watch::Sender<Arc<Vec<PersistentPeer>>>,
}

impl PersistentLinks {
    pub(super) fn new(
        me: PeerId,
        is_private: bool,
        seed: u64,
        wanted: watch::Receiver<Vec<Multiaddr>>,
    ) -> Self {
        Self {
            me,
            is_private,
            wanted,
            peers: BTreeMap::new(),
            unfit: Vec::new(),
            look_ups: JoinSet::new(),
            random: ChaCha8Rng::seed_from_u64(own_seed(me, seed)),
            chosen: watch::Sender::default(),
            told: watch::Sender::default(),
        }
    }

    /// Returns the peers that are kept connected.
    pub(super) fn chosen(&self) -> keep_alive::Chosen {
        self.chosen.subscribe()
    }

    /// Returns the state of each address.
    pub(super) fn told(&self) -> watch::Receiver<Arc<Vec<PersistentPeer>>> {
        self.told.subscribe()
    }

    /// Waits for the next step. Cancel safe.
    pub(super) async fn step(&mut self) -> Step {
        let due = self.peers.values().filter_map(|peer| peer.due).min();
        tokio::select! {
            Ok(()) = self.wanted.changed() => Step::Changed,
            Some(Ok((peer, found))) = self.look_ups.join_next() => self.looked_up(peer, found),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                self.look_up_due();
                Step::Nothing
            }
            // Nothing is due, and the sender of the list is dropped.
            else => std::future::pending().await,
        }
    }

    /// Applies the current list. Returns the peers that were added and those that were removed.
    pub(super) fn change(&mut self, is_connected: impl Fn(&PeerId) -> bool) -> (Vec<PeerId>, Vec<PeerId>) {
        let mut addresses = self.wanted.borrow_and_update().clone();
        addresses.truncate(MAX_ADDRESSES);
        let mut before = std::mem::take(&mut self.peers);
        self.unfit.clear();
        let mut added = Vec::new();
        for address in addresses {
            match self.take_apart(&address) {
                Ok((peer, place)) => {
                    self.peers.entry(peer).or_insert_with(new_peer).addresses.push((address, place))
                }
                Err(reason) => {
                    self.unfit.push(PersistentPeer { address, state: PersistentPeerState::Unfit(reason) })
                }
            }
        }
        for (id, peer) in &mut self.peers {
            match before.remove(id) {
                // An unchanged peer keeps its schedule.
                Some(old) if old.addresses == peer.addresses => *peer = old,
                Some(old) => peer.connected_at = old.connected_at,
                None => added.push(*id),
            }
            if is_connected(id) {
                peer.connect();
            }
        }
        self.chosen.send_replace(Arc::new(self.peers.keys().copied().collect()));
        self.tell();
        (added, before.into_keys().collect())
    }

    fn take_apart(&self, address: &Multiaddr) -> Result<(PeerId, Multiaddr), String> {
        match addresses::chosen(address, self.is_private) {
            Ok((peer, _)) if peer == self.me => Err("this is the node itself".to_owned()),
            result => result.map_err(|unfit| unfit.to_string()),
        }
    }

    fn look_up_due(&mut self) {
        let now = Instant::now();
        for (id, peer) in &mut self.peers {
            if peer.due.is_some_and(|due| due <= now) {
                peer.due = None;
                let (id, places) = (*id, peer.addresses.iter().map(|(_, place)| place.clone()).collect());
                self.look_ups.spawn(async move { (id, addresses::look_up(places).await) });
            }
        }
    }

    fn looked_up(&mut self, peer: PeerId, (found, problems): (Vec<Multiaddr>, Vec<String>)) -> Step {
        if !self.peers.contains_key(&peer) {
            return Step::Nothing;
        }
        if found.is_empty() {
            self.failed(&peer, problems.join("; "));
            return Step::Nothing;
        }
        Step::Dial(peer, found)
    }

    pub(super) fn connected(&mut self, peer: &PeerId) {
        if let Some(peer) = self.peers.get_mut(peer) {
            peer.connect();
            self.tell();
        }
    }

    pub(super) fn disconnected(&mut self, peer: &PeerId, message: String) {
        let lasted = self.peers.get(peer).and_then(|peer| peer.connected_at).map(|at| at.elapsed());
        if let Some(peer) = self.peers.get_mut(peer)
            && lasted.is_some_and(|lasted| lasted >= GOOD)
        {
            peer.failures = 0;
        }
        self.failed(peer, message);
    }

    /// Records a failed dial or a lost connection, and schedules the next dial.
    pub(super) fn failed(&mut self, peer: &PeerId, message: String) {
        let Some(peer) = self.peers.get_mut(peer) else {
            return;
        };
        let pause = BACK_OFF.0.saturating_mul(2u32.saturating_pow(peer.failures)).min(BACK_OFF.1);
        // Jitter, so that robots that lost the same server do not all reconnect at the same moment.
        let jitter = self.random.random_range(0.75..1.25);
        peer.failures = peer.failures.saturating_add(1);
        peer.due = Some(Instant::now() + pause.mul_f64(jitter));
        peer.connected_at = None;
        peer.state = PersistentPeerState::Failed(message);
        self.tell();
    }

    fn tell(&self) {
        let of_peer = |peer: &Peer| {
            let state = peer.state.clone();
            let addresses = peer.addresses.iter();
            addresses
                .map(move |(address, _)| PersistentPeer { address: address.clone(), state: state.clone() })
                .collect()
        };
        let peers = self.peers.values().flat_map::<Vec<_>, _>(of_peer);
        let all: Vec<PersistentPeer> = peers.chain(self.unfit.iter().cloned()).collect();
        self.told.send_replace(Arc::new(all));
    }
}

/// Mixes the peer ID into the seed, so that nodes with the same seed get different jitter.
fn own_seed(me: PeerId, seed: u64) -> u64 {
    me.to_bytes().iter().fold(seed, |seed, byte| seed.rotate_left(8) ^ u64::from(*byte))
}

impl Peer {
    fn connect(&mut self) {
        self.due = None;
        self.connected_at.get_or_insert_with(Instant::now);
        self.state = PersistentPeerState::Connected;
    }
}

fn new_peer() -> Peer {
    let (addresses, state) = (Vec::new(), PersistentPeerState::Dialling);
    Peer { addresses, state, failures: 0, due: Some(Instant::now()), connected_at: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use libp2p::identity::Keypair;

    fn id() -> PeerId {
        Keypair::generate_ed25519().public().to_peer_id()
    }

    fn links() -> (PersistentLinks, watch::Sender<Vec<Multiaddr>>) {
        let (wanted, receiver) = watch::channel(Vec::new());
        (PersistentLinks::new(id(), false, 1, receiver), wanted)
    }

    fn address(peer: PeerId) -> Multiaddr {
        format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}").parse().unwrap()
    }

    /// Steps until a dial is due.
    async fn next_dial(links: &mut PersistentLinks) -> PeerId {
        loop {
            match links.step().await {
                Step::Dial(peer, _) => return peer,
                Step::Changed => drop(links.change(|_| false)),
                Step::Nothing => {}
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_to_five_minutes_and_shrink_after_a_good_connection() {
        let ((mut links, wanted), peer) = (links(), id());
        wanted.send_replace(vec![address(peer)]);
        assert_eq!(next_dial(&mut links).await, peer);
        let mut pauses = Vec::new();
        for _ in 0..11 {
            links.failed(&peer, "no".to_owned());
            let start = Instant::now();
            assert_eq!(next_dial(&mut links).await, peer);
            pauses.push(start.elapsed().as_secs_f64());
        }
        assert!((0.75..1.26).contains(&pauses[0]), "{pauses:?}");
        assert!(pauses[9..].iter().all(|pause| (225.0..376.0).contains(pause)), "{pauses:?}");
        links.connected(&peer);
        assert_eq!(links.told().borrow()[0].state, PersistentPeerState::Connected);
        tokio::time::advance(GOOD).await;
        links.disconnected(&peer, "it went".to_owned());
        let start = Instant::now();
        next_dial(&mut links).await;
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_list_can_be_changed_and_unfit_addresses_are_reported() {
        let ((mut links, wanted), peers) = (links(), [id(), id()]);
        let (me, strange) = (address(links.me), "/ip4/127.0.0.1/tcp/1".parse().unwrap());
        wanted.send_replace(vec![address(peers[0]), me, strange]);
        assert_eq!(links.change(|_| true), (vec![peers[0]], vec![]));
        let told = links.told().borrow().clone();
        assert_eq!(told[0].state, PersistentPeerState::Connected);
        assert_eq!(told[1].state, PersistentPeerState::Unfit("this is the node itself".to_owned()));
        assert!(
            matches!(&told[2].state, PersistentPeerState::Unfit(reason) if reason.contains("/p2p/ID")),
            "{told:?}"
        );
        wanted.send_replace(vec![address(peers[1])]);
        assert_eq!(links.change(|_| false), (vec![peers[1]], vec![peers[0]]));
        assert_eq!(*links.chosen().borrow().as_ref(), BTreeSet::from([peers[1]]));
        assert_eq!(links.told().borrow().len(), 1);
    }
}
