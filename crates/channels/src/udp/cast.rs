//! Chooses between broadcast and multicast. In order to save bytes, a line is sent by a small set of cast modes that
//! reaches all peers on an interface.

use dcache::PeerId;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time after which a silent peer no longer influences the choice.
const LATELY: Duration = Duration::from_secs(300);
/// Interval at which a line is sent by all modes, so that other nodes learn by which modes they hear this node.
const ALL_MODES: Duration = Duration::from_secs(60);
/// Silence of all peers after which all modes are used, because something may be wrong or nobody is there. A working
/// network is rarely silent for that long, even when one peer sends and the others suppress their copies.
const QUIET: Duration = Duration::from_secs(30);
/// Maximum number of successive lines of a peer that one mode may fail to deliver while other modes deliver them. If it
/// misses more, the mode counts as not reaching that peer.
const MAX_MISSED: u32 = 3;
/// Maximum delay between the copies of a line that different modes deliver.
const COPIES: Duration = Duration::from_secs(2);
/// Time after which a mode that delivers nothing counts as filtered, if other modes deliver lines meanwhile. In this
/// time, each peer sends at least two lines by all modes.
const LONG: Duration = Duration::from_secs(150);
/// Maximum number of peers that are remembered.
const MAX_PEERS: usize = 512;

/// A way of sending one datagram to all hosts on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CastMode {
    /// To the broadcast address of each IPv4 network.
    Broadcast,
    /// To the IPv4 group.
    Multicast4,
    /// To the IPv6 group.
    Multicast6,
}

impl CastMode {
    /// All modes, the preferred one first.
    pub(crate) const ALL: [Self; 3] = [Self::Broadcast, Self::Multicast4, Self::Multicast6];
}

/// A set of cast modes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CastModes([bool; CastMode::ALL.len()]);

impl CastModes {
    /// Returns the set with this mode added.
    pub(crate) fn with(mut self, mode: CastMode) -> Self {
        self.0[mode as usize] = true;
        self
    }

    /// Returns whether a mode is in the set.
    pub(crate) fn has(self, mode: CastMode) -> bool {
        self.0[mode as usize]
    }

    /// Returns the modes that are not in the other set.
    pub(crate) fn without(self, other: Self) -> Self {
        self.iter().filter(|mode| !other.has(*mode)).fold(Self::default(), Self::with)
    }

    /// Returns the modes of the set, the preferred one first.
    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = CastMode> {
        CastMode::ALL.into_iter().filter(move |mode| self.has(*mode))
    }
}

/// Reception history of one peer.
#[derive(Clone, Debug)]
struct Heard {
    first: Duration,
    last: Duration,
    by: [ByMode; CastMode::ALL.len()],
    /// Hash of the last line, and the modes that have delivered it so far. The same line by another mode is a copy.
    line: u64,
    came: CastModes,
}

/// Reception history of one peer by one mode.
#[derive(Clone, Copy, Debug, Default)]
struct ByMode {
    last: Option<Duration>,
    /// Number of lines that other modes have delivered since `last`.
    missed: u32,
}

impl Heard {
    fn new(now: Duration) -> Self {
        Self { first: now, last: now, by: Default::default(), line: 0, came: CastModes::default() }
    }

    /// Records a line. Returns whether the line is new, and not a copy of the last one.
    fn note(&mut self, mode: CastMode, line: u64, now: Duration) -> bool {
        let is_copy = line == self.line
            && self.came != CastModes::default()
            && !self.came.has(mode)
            && now.saturating_sub(self.last) <= COPIES;
        if !is_copy {
            (self.line, self.came) = (line, CastModes::default());
            self.by.iter_mut().for_each(|by| by.missed = by.missed.saturating_add(1));
        }
        self.last = now;
        self.came = self.came.with(mode);
        self.by[mode as usize] = ByMode { last: Some(now), missed: 0 };
        !is_copy
    }

    fn is_reached_by(&self, mode: CastMode, now: Duration) -> bool {
        self.by[mode as usize].missed <= MAX_MISSED && self.heard_within(mode, LATELY, now)
    }

    fn heard_within(&self, mode: CastMode, time: Duration, now: Duration) -> bool {
        self.by[mode as usize].last.is_some_and(|last| now.saturating_sub(last) <= time)
    }
}

/// Remembers by which modes the peers on one interface were heard, and chooses the modes for sending. Times count from
/// any fixed moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct CastSelector {
    peers: BTreeMap<PeerId, Heard>,
    last_heard: Option<Duration>,
    last_all: Option<Duration>,
    available: CastModes,
}

impl CastSelector {
    /// Records a line of a peer, given by its hash. Returns whether the line is new, and not a copy of
    /// the peer's last line.
    pub(crate) fn heard(&mut self, peer: PeerId, mode: CastMode, line: u64, now: Duration) -> bool {
        self.last_heard = Some(now);
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer) {
            self.forget_one();
        }
        self.peers.entry(peer).or_insert_with(|| Heard::new(now)).note(mode, line, now)
    }

    fn forget_one(&mut self) {
        let longest_silent = self.peers.iter().min_by_key(|(_, heard)| heard.last).map(|(peer, _)| *peer);
        longest_silent.and_then(|peer| self.peers.remove(&peer));
    }

    /// Returns the available modes by which the next line to all hosts is sent.
    pub(crate) fn choose(&mut self, available: CastModes, now: Duration) -> CastModes {
        self.peers.retain(|_, heard| now.saturating_sub(heard.last) <= LATELY);
        let is_due = self.last_all.is_none_or(|last| now.saturating_sub(last) >= ALL_MODES);
        let is_quiet = self.last_heard.is_none_or(|last| now.saturating_sub(last) > QUIET);
        if is_due || is_quiet || available != self.available {
            (self.last_all, self.available) = (Some(now), available);
            return available;
        }
        self.cover(available, now)
    }

    /// Returns a small set of modes that reaches all peers, chosen greedily: the mode that reaches most of them comes
    /// first.
    fn cover(&self, available: CastModes, now: Duration) -> CastModes {
        let mut left: Vec<&Heard> = self.peers.values().collect();
        let mut chosen = CastModes::default();
        loop {
            let covered =
                |mode: &CastMode| left.iter().filter(|heard| heard.is_reached_by(*mode, now)).count();
            // `max_by_key` returns the last of equal elements, so the preferred mode has to come last.
            let best = available.without(chosen).iter().rev().max_by_key(covered);
            match best.filter(|mode| covered(mode) > 0) {
                Some(mode) => {
                    left.retain(|heard| !heard.is_reached_by(mode, now));
                    chosen = chosen.with(mode);
                }
                // The remaining peers are reached by none of the available modes.
                None if chosen == CastModes::default() => return available,
                None => return chosen,
            }
        }
    }

    /// Returns whether one mode has delivered no line within [`LONG`], although a peer has been heard for that long and
    /// is still heard by another mode.
    pub(crate) fn is_silent(&self, mode: CastMode, other: CastMode, now: Duration) -> bool {
        let is_witness = |heard: &Heard| {
            now.saturating_sub(heard.first) >= LONG && heard.heard_within(other, ALL_MODES + QUIET, now)
        };
        let mut peers = self.peers.values();
        peers.any(is_witness) && !self.peers.values().any(|heard| heard.heard_within(mode, LONG, now))
    }

    /// Returns whether any peer was heard within the last 150 seconds, by any mode.
    pub(crate) fn is_anybody_heard(&self, now: Duration) -> bool {
        self.last_heard.is_some_and(|last| now.saturating_sub(last) <= LONG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;

    const B: CastMode = CastMode::Broadcast;
    const M4: CastMode = CastMode::Multicast4;
    const M6: CastMode = CastMode::Multicast6;

    fn peer(number: u8) -> PeerId {
        Keypair::from_seed([number; 32]).peer_id()
    }

    fn set(modes: &[CastMode]) -> CastModes {
        modes.iter().copied().fold(CastModes::default(), CastModes::with)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A selector of one interface. Each line that a peer sends differs from the lines before.
    struct World {
        cast: CastSelector,
        line: u64,
    }

    impl World {
        fn new() -> Self {
            Self { cast: CastSelector::default(), line: 0 }
        }

        fn say(&mut self, number: u8, by: &[CastMode], at: u64) {
            self.line += 1;
            for mode in by {
                self.cast.heard(peer(number), *mode, self.line, seconds(at));
            }
        }

        fn choose(&mut self, at: u64) -> CastModes {
            self.cast.choose(set(&CastMode::ALL), seconds(at))
        }
    }

    #[test]
    fn all_modes_are_used_while_no_peer_is_heard() {
        let mut world = World::new();
        assert_eq!([0, 1, 500].map(|at| world.choose(at)), [set(&CastMode::ALL); 3]);
    }

    #[test]
    fn broadcast_alone_is_used_where_it_suffices_and_all_modes_once_a_minute() {
        let mut world = World::new();
        world.choose(0);
        let mut all = 0;
        for at in 1..=300 {
            world.say(1, if at % 60 == 0 { &CastMode::ALL } else { &[B] }, at);
            world.say(2, if at % 60 == 30 { &CastMode::ALL } else { &[B] }, at);
            match world.choose(at) {
                chosen if chosen == set(&CastMode::ALL) => all += 1,
                chosen => assert_eq!(chosen, set(&[B])),
            }
        }
        assert_eq!(all, 5);
    }

    #[test]
    fn multicast_is_used_if_a_peer_is_heard_only_by_multicast() {
        let mut world = World::new();
        world.choose(0);
        world.say(1, &[B], 1);
        world.say(2, &[M6], 1);
        assert_eq!(world.choose(2), set(&[B, M6]));
        // A single mode that covers both is better than two.
        world.say(1, &[B, M6], 3);
        assert_eq!(world.choose(4), set(&[M6]));
        world.say(3, &[M4], 5);
        assert_eq!(world.choose(6), set(&[M4, M6]));
    }

    #[test]
    fn broadcast_is_no_longer_used_after_it_has_missed_four_lines() {
        let mut world = World::new();
        world.choose(0);
        world.say(1, &CastMode::ALL, 1);
        assert_eq!(world.choose(1), set(&[B]));
        for at in 2..=4 {
            world.say(1, &[M4, M6], at);
            assert_eq!(world.choose(at), set(&[B]));
        }
        world.say(1, &[M4, M6], 5);
        assert_eq!(world.choose(5), set(&[M4]));
        // Broadcast is used again once it delivers a line.
        world.say(1, &[B], 6);
        assert_eq!(world.choose(6), set(&[B]));
    }

    #[test]
    fn every_mode_is_tried_when_all_peers_fall_silent() {
        let mut world = World::new();
        world.choose(0);
        world.say(1, &[B], 1);
        assert_eq!(world.choose(31), set(&[B]));
        assert_eq!(world.choose(32), set(&CastMode::ALL));
        world.say(1, &[B], 33);
        assert_eq!(world.choose(34), set(&[B]));
    }

    #[test]
    fn a_new_mode_is_used_at_once() {
        let mut world = World::new();
        world.cast.choose(set(&[B, M4]), seconds(0));
        world.say(1, &[B], 1);
        assert_eq!(world.cast.choose(set(&[B, M4]), seconds(2)), set(&[B]));
        assert_eq!(world.choose(3), set(&CastMode::ALL));
        assert_eq!(world.choose(4), set(&[B]));
        // Without broadcast, the only remaining mode is used.
        world.cast.choose(set(&[M6]), seconds(5));
        assert_eq!(world.cast.choose(set(&[M6]), seconds(6)), set(&[M6]));
    }

    #[test]
    fn copies_are_distinguished_from_repeated_lines() {
        let mut cast = CastSelector::default();
        let mut heard = |mode, line, at| cast.heard(peer(1), mode, line, seconds(at));
        assert!(heard(B, 7, 1));
        assert!(!heard(M4, 7, 1) && !heard(M6, 7, 2));
        assert!(heard(B, 7, 2), "the line is repeated");
        assert!(heard(M4, 7, 10), "too late for a copy");
        assert!(heard(B, 8, 10));
    }

    #[test]
    fn a_silent_mode_is_noticed_when_another_one_delivers_for_long() {
        let mut world = World::new();
        world.say(1, &[M4], 0);
        let is_silent = |world: &World, at| world.cast.is_silent(B, M4, seconds(at));
        assert!(!is_silent(&world, 149));
        world.say(1, &[M4], 149);
        assert!(is_silent(&world, 150));
        world.say(2, &[B], 151);
        assert!(!is_silent(&world, 152));
    }

    #[test]
    fn the_number_of_remembered_peers_is_bounded() {
        let mut cast = CastSelector::default();
        for number in 0..2 * MAX_PEERS as u64 {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&number.to_le_bytes());
            cast.heard(Keypair::from_seed(seed).peer_id(), B, 1, seconds(number));
        }
        assert_eq!(cast.peers.len(), MAX_PEERS);
        // Silent peers are forgotten.
        cast.choose(set(&CastMode::ALL), seconds(10_000));
        assert!(cast.peers.is_empty());
    }
}
