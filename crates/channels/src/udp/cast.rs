//! Broadcast or multicast: the cast modes that reach all peers on an interface, as few as possible, since bytes count.

use dcache::PeerId;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a peer counts after it was heard last.
const LATELY: Duration = Duration::from_secs(300);
/// How often a line goes out by all modes, so that others learn by which ones they hear this node.
const ALL_MODES: Duration = Duration::from_secs(60);
/// The silence of all peers after which all modes are used: something is wrong then, or nobody is there. It is seldom that
/// quiet where one peer speaks and the others agree in silence.
const QUIET: Duration = Duration::from_secs(30);
/// The most lines of a peer that may miss on one mode while they come by others; after more, that mode does not reach it.
const MAX_MISSED: u32 = 3;
/// The time within which copies of a line come by the other modes.
const COPIES: Duration = Duration::from_secs(2);
/// How long nothing came by a mode, while others brought something, until it counts as filtered: at least two lines by all
/// modes are missing then.
const LONG: Duration = Duration::from_secs(150);
/// The most peers that are remembered.
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
    /// Returns the set with this mode too.
    pub(crate) fn with(mut self, mode: CastMode) -> Self {
        self.0[mode as usize] = true;
        self
    }

    /// Whether a mode is in the set.
    pub(crate) fn has(self, mode: CastMode) -> bool {
        self.0[mode as usize]
    }

    /// Returns the modes that are not in the other set.
    pub(crate) fn without(self, other: Self) -> Self {
        self.iter().filter(|mode| !other.has(*mode)).fold(Self::default(), Self::with)
    }

    /// Returns each mode, the preferred one first.
    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = CastMode> {
        CastMode::ALL.into_iter().filter(move |mode| self.has(*mode))
    }
}

/// How one peer was heard.
#[derive(Clone, Debug)]
struct Heard {
    first: Duration,
    last: Duration,
    by: [ByMode; CastMode::ALL.len()],
    /// The last line, by its hash, and how it came so far: the same line by another mode is a copy.
    line: u64,
    came: CastModes,
}

/// How one peer was heard by one mode.
#[derive(Clone, Copy, Debug, Default)]
struct ByMode {
    last: Option<Duration>,
    /// How many lines came by other modes since then.
    missed: u32,
}

impl Heard {
    fn new(now: Duration) -> Self {
        Self { first: now, last: now, by: Default::default(), line: 0, came: CastModes::default() }
    }

    /// Whether the line is new, and no copy of the last one.
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

/// Remembers by which modes the peers on one interface were heard lately, and decides which to use. Times are since any
/// fixed moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct CastSelector {
    peers: BTreeMap<PeerId, Heard>,
    last_heard: Option<Duration>,
    last_all: Option<Duration>,
    available: CastModes,
}

impl CastSelector {
    /// Notes that a peer was heard. Returns whether the line, given by its hash, is more than a copy of its last one.
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

    /// Returns by which of the available modes the next line goes to all.
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

    /// Returns the smallest set of modes that covers all peers, as far as taking the best mode first finds it.
    fn cover(&self, available: CastModes, now: Duration) -> CastModes {
        let mut left: Vec<&Heard> = self.peers.values().collect();
        let mut chosen = CastModes::default();
        loop {
            let covered =
                |mode: &CastMode| left.iter().filter(|heard| heard.is_reached_by(*mode, now)).count();
            // Of equals the last is taken, so the preferred one has to come last.
            let best = available.without(chosen).iter().rev().max_by_key(covered);
            match best.filter(|mode| covered(mode) > 0) {
                Some(mode) => {
                    left.retain(|heard| !heard.is_reached_by(mode, now));
                    chosen = chosen.with(mode);
                }
                // Peers that are heard by none of the available modes cannot be helped.
                None if chosen == CastModes::default() => return available,
                None => return chosen,
            }
        }
    }

    /// Whether a mode brings nothing, though another has brought something for long, and still does.
    pub(crate) fn is_silent(&self, mode: CastMode, other: CastMode, now: Duration) -> bool {
        let is_witness = |heard: &Heard| {
            now.saturating_sub(heard.first) >= LONG && heard.heard_within(other, ALL_MODES + QUIET, now)
        };
        let mut peers = self.peers.values();
        peers.any(is_witness) && !self.peers.values().any(|heard| heard.heard_within(mode, LONG, now))
    }

    /// Whether anybody was heard lately, by any mode.
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

    /// One interface; every line is another one.
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
    fn all_modes_while_nobody_is_heard() {
        let mut world = World::new();
        assert_eq!([0, 1, 500].map(|at| world.choose(at)), [set(&CastMode::ALL); 3]);
    }

    #[test]
    fn broadcast_is_enough_for_those_who_hear_it_and_once_a_minute_all_are_used() {
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
    fn one_who_hears_only_multicast_brings_it_into_use() {
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
    fn broadcasts_that_are_filtered_from_now_on_are_given_up_after_a_few_lines() {
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
        // And taken again once one is heard.
        world.say(1, &[B], 6);
        assert_eq!(world.choose(6), set(&[B]));
    }

    #[test]
    fn when_all_fall_silent_every_mode_is_tried() {
        let mut world = World::new();
        world.choose(0);
        world.say(1, &[B], 1);
        assert_eq!(world.choose(31), set(&[B]));
        assert_eq!(world.choose(32), set(&CastMode::ALL));
        world.say(1, &[B], 33);
        assert_eq!(world.choose(34), set(&[B]));
    }

    #[test]
    fn a_mode_that_is_new_is_used_at_once() {
        let mut world = World::new();
        world.cast.choose(set(&[B, M4]), seconds(0));
        world.say(1, &[B], 1);
        assert_eq!(world.cast.choose(set(&[B, M4]), seconds(2)), set(&[B]));
        assert_eq!(world.choose(3), set(&CastMode::ALL));
        assert_eq!(world.choose(4), set(&[B]));
        // Without broadcast there is only what is left.
        world.cast.choose(set(&[M6]), seconds(5));
        assert_eq!(world.cast.choose(set(&[M6]), seconds(6)), set(&[M6]));
    }

    #[test]
    fn copies_are_told_from_lines_that_are_said_again() {
        let mut cast = CastSelector::default();
        let mut heard = |mode, line, at| cast.heard(peer(1), mode, line, seconds(at));
        assert!(heard(B, 7, 1));
        assert!(!heard(M4, 7, 1) && !heard(M6, 7, 2));
        assert!(heard(B, 7, 2), "said again");
        assert!(heard(M4, 7, 10), "long after");
        assert!(heard(B, 8, 10));
    }

    #[test]
    fn a_silent_mode_is_noticed_when_another_is_heard_for_long() {
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
    fn strangers_do_not_fill_the_memory() {
        let mut cast = CastSelector::default();
        for number in 0..2 * MAX_PEERS as u64 {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&number.to_le_bytes());
            cast.heard(Keypair::from_seed(seed).peer_id(), B, 1, seconds(number));
        }
        assert_eq!(cast.peers.len(), MAX_PEERS);
        // Silence is forgotten.
        cast.choose(set(&CastMode::ALL), seconds(10_000));
        assert!(cast.peers.is_empty());
    }
}
