//! By which ways everybody on an interface is reached: as few as possible, since bytes count.

use dcache::PeerId;
use std::collections::BTreeMap;
use std::time::Duration;

/// After so long a silence a peer no longer counts.
const LATELY: Duration = Duration::from_secs(300);
/// How often a line goes by all ways, so that others find out by which ones they hear us.
const ALL_WAYS: Duration = Duration::from_secs(60);
/// When nobody was heard for so long, something is wrong or nobody is there: all ways are used. Where one speaks and the
/// others agree in silence, it is seldom that quiet.
const QUIET: Duration = Duration::from_secs(30);
/// After so many lines that came by other ways alone, a way does not lead to that peer.
const MAX_MISSED: u32 = 3;
/// Copies of a line come by the other ways within this time.
const COPIES: Duration = Duration::from_secs(2);
/// A way on which nothing came for so long, though others brought something: at least two lines by all ways are missing.
const LONG: Duration = Duration::from_secs(150);
/// The most peers that are remembered.
const MAX_PEERS: usize = 512;

/// One of the ways in which all on an interface are spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the broadcast address of each IPv4 network.
    Broadcast,
    /// To the IPv4 group.
    Multicast4,
    /// To the IPv6 group.
    Multicast6,
}

impl Way {
    /// All ways, the one to be preferred first.
    pub(crate) const ALL: [Self; 3] = [Self::Broadcast, Self::Multicast4, Self::Multicast6];
}

/// Some of the ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct WaySet([bool; Way::ALL.len()]);

impl WaySet {
    /// With this way too.
    pub(crate) fn with(mut self, way: Way) -> Self {
        self.0[way as usize] = true;
        self
    }

    /// Whether a way is among them.
    pub(crate) fn has(self, way: Way) -> bool {
        self.0[way as usize]
    }

    /// Those of them that are not in the other set.
    pub(crate) fn without(self, other: Self) -> Self {
        self.iter().filter(|way| !other.has(*way)).fold(Self::default(), Self::with)
    }

    /// Each of them, the one to be preferred first.
    pub(crate) fn iter(self) -> impl DoubleEndedIterator<Item = Way> {
        Way::ALL.into_iter().filter(move |way| self.has(*way))
    }
}

/// How one peer was heard.
#[derive(Clone, Debug)]
struct Heard {
    first: Duration,
    last: Duration,
    by: [ByWay; Way::ALL.len()],
    /// The last line, by its hash, and how it came so far: the same line by another way is a copy.
    line: u64,
    came: WaySet,
}

/// How one peer was heard by one way.
#[derive(Clone, Copy, Debug, Default)]
struct ByWay {
    last: Option<Duration>,
    /// Lines since then, by other ways.
    missed: u32,
}

impl Heard {
    fn new(now: Duration) -> Self {
        Self { first: now, last: now, by: Default::default(), line: 0, came: WaySet::default() }
    }

    /// Whether the line is new, and no copy of the last one.
    fn note(&mut self, way: Way, line: u64, now: Duration) -> bool {
        let is_copy = line == self.line
            && self.came != WaySet::default()
            && !self.came.has(way)
            && now.saturating_sub(self.last) <= COPIES;
        if !is_copy {
            (self.line, self.came) = (line, WaySet::default());
            self.by.iter_mut().for_each(|by| by.missed = by.missed.saturating_add(1));
        }
        self.last = now;
        self.came = self.came.with(way);
        self.by[way as usize] = ByWay { last: Some(now), missed: 0 };
        !is_copy
    }

    fn is_reached_by(&self, way: Way, now: Duration) -> bool {
        self.by[way as usize].missed <= MAX_MISSED && self.heard_within(way, LATELY, now)
    }

    fn heard_within(&self, way: Way, time: Duration, now: Duration) -> bool {
        self.by[way as usize].last.is_some_and(|last| now.saturating_sub(last) <= time)
    }
}

/// Remembers by which ways the peers on one interface were heard lately, and decides which to use. Times are since any
/// fixed moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ways {
    peers: BTreeMap<PeerId, Heard>,
    last_heard: Option<Duration>,
    last_all: Option<Duration>,
    available: WaySet,
}

impl Ways {
    /// A peer was heard; tells whether the line, given by its hash, is more than a copy of its last one.
    pub(crate) fn heard(&mut self, peer: PeerId, way: Way, line: u64, now: Duration) -> bool {
        self.last_heard = Some(now);
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer) {
            self.forget_one();
        }
        self.peers.entry(peer).or_insert_with(|| Heard::new(now)).note(way, line, now)
    }

    fn forget_one(&mut self) {
        let longest_silent = self.peers.iter().min_by_key(|(_, heard)| heard.last).map(|(peer, _)| *peer);
        longest_silent.and_then(|peer| self.peers.remove(&peer));
    }

    /// By which of the available ways the next line goes to all.
    pub(crate) fn choose(&mut self, available: WaySet, now: Duration) -> WaySet {
        self.peers.retain(|_, heard| now.saturating_sub(heard.last) <= LATELY);
        let is_due = self.last_all.is_none_or(|last| now.saturating_sub(last) >= ALL_WAYS);
        let is_quiet = self.last_heard.is_none_or(|last| now.saturating_sub(last) > QUIET);
        if is_due || is_quiet || available != self.available {
            (self.last_all, self.available) = (Some(now), available);
            return available;
        }
        self.cover(available, now)
    }

    /// The smallest set of ways that covers all peers, as far as taking the best way first finds it.
    fn cover(&self, available: WaySet, now: Duration) -> WaySet {
        let mut left: Vec<&Heard> = self.peers.values().collect();
        let mut chosen = WaySet::default();
        loop {
            let covered = |way: &Way| left.iter().filter(|heard| heard.is_reached_by(*way, now)).count();
            // Of equals the last is taken, so the preferred one has to come last.
            let best = available.without(chosen).iter().rev().max_by_key(covered);
            match best.filter(|way| covered(way) > 0) {
                Some(way) => {
                    left.retain(|heard| !heard.is_reached_by(way, now));
                    chosen = chosen.with(way);
                }
                // Peers that are heard by no way that we have cannot be helped.
                None if chosen == WaySet::default() => return available,
                None => return chosen,
            }
        }
    }

    /// Whether a way brings nothing, though another has brought something for long, and still does.
    pub(crate) fn is_silent(&self, way: Way, other: Way, now: Duration) -> bool {
        let is_witness = |heard: &Heard| {
            now.saturating_sub(heard.first) >= LONG && heard.heard_within(other, ALL_WAYS + QUIET, now)
        };
        let mut peers = self.peers.values();
        peers.any(is_witness) && !self.peers.values().any(|heard| heard.heard_within(way, LONG, now))
    }

    /// Whether anybody was heard for so long, by any way.
    pub(crate) fn is_anybody_heard(&self, now: Duration) -> bool {
        self.last_heard.is_some_and(|last| now.saturating_sub(last) <= LONG)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Keypair;

    const B: Way = Way::Broadcast;
    const M4: Way = Way::Multicast4;
    const M6: Way = Way::Multicast6;

    fn peer(number: u8) -> PeerId {
        Keypair::from_seed([number; 32]).peer_id()
    }

    fn set(ways: &[Way]) -> WaySet {
        ways.iter().copied().fold(WaySet::default(), WaySet::with)
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// One interface; every line is another one.
    struct World {
        ways: Ways,
        line: u64,
    }

    impl World {
        fn new() -> Self {
            Self { ways: Ways::default(), line: 0 }
        }

        fn say(&mut self, number: u8, by: &[Way], at: u64) {
            self.line += 1;
            for way in by {
                self.ways.heard(peer(number), *way, self.line, seconds(at));
            }
        }

        fn choose(&mut self, at: u64) -> WaySet {
            self.ways.choose(set(&Way::ALL), seconds(at))
        }
    }

    #[test]
    fn all_ways_while_nobody_is_heard() {
        let mut world = World::new();
        assert_eq!([0, 1, 500].map(|at| world.choose(at)), [set(&Way::ALL); 3]);
    }

    #[test]
    fn broadcast_is_enough_for_those_who_hear_it_and_once_a_minute_all_are_used() {
        let mut world = World::new();
        world.choose(0);
        let mut all = 0;
        for at in 1..=300 {
            world.say(1, if at % 60 == 0 { &Way::ALL } else { &[B] }, at);
            world.say(2, if at % 60 == 30 { &Way::ALL } else { &[B] }, at);
            match world.choose(at) {
                chosen if chosen == set(&Way::ALL) => all += 1,
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
        // A single way that covers both is better than two.
        world.say(1, &[B, M6], 3);
        assert_eq!(world.choose(4), set(&[M6]));
        world.say(3, &[M4], 5);
        assert_eq!(world.choose(6), set(&[M4, M6]));
    }

    #[test]
    fn broadcasts_that_are_filtered_from_now_on_are_given_up_after_a_few_lines() {
        let mut world = World::new();
        world.choose(0);
        world.say(1, &Way::ALL, 1);
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
    fn when_all_fall_silent_every_way_is_tried() {
        let mut world = World::new();
        world.choose(0);
        world.say(1, &[B], 1);
        assert_eq!(world.choose(31), set(&[B]));
        assert_eq!(world.choose(32), set(&Way::ALL));
        world.say(1, &[B], 33);
        assert_eq!(world.choose(34), set(&[B]));
    }

    #[test]
    fn a_way_that_is_new_is_used_at_once() {
        let mut world = World::new();
        world.ways.choose(set(&[B, M4]), seconds(0));
        world.say(1, &[B], 1);
        assert_eq!(world.ways.choose(set(&[B, M4]), seconds(2)), set(&[B]));
        assert_eq!(world.choose(3), set(&Way::ALL));
        assert_eq!(world.choose(4), set(&[B]));
        // Without broadcast there is only what is left.
        world.ways.choose(set(&[M6]), seconds(5));
        assert_eq!(world.ways.choose(set(&[M6]), seconds(6)), set(&[M6]));
    }

    #[test]
    fn copies_are_told_from_lines_that_are_said_again() {
        let mut ways = Ways::default();
        let mut heard = |way, line, at| ways.heard(peer(1), way, line, seconds(at));
        assert!(heard(B, 7, 1));
        assert!(!heard(M4, 7, 1) && !heard(M6, 7, 2));
        assert!(heard(B, 7, 2), "said again");
        assert!(heard(M4, 7, 10), "long after");
        assert!(heard(B, 8, 10));
    }

    #[test]
    fn a_silent_way_is_noticed_when_another_is_heard_for_long() {
        let mut world = World::new();
        world.say(1, &[M4], 0);
        let is_silent = |world: &World, at| world.ways.is_silent(B, M4, seconds(at));
        assert!(!is_silent(&world, 149));
        world.say(1, &[M4], 149);
        assert!(is_silent(&world, 150));
        world.say(2, &[B], 151);
        assert!(!is_silent(&world, 152));
    }

    #[test]
    fn strangers_do_not_fill_the_memory() {
        let mut ways = Ways::default();
        for number in 0..2 * MAX_PEERS as u64 {
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&number.to_le_bytes());
            ways.heard(Keypair::from_seed(seed).peer_id(), B, 1, seconds(number));
        }
        assert_eq!(ways.peers.len(), MAX_PEERS);
        // Silence is forgotten.
        ways.choose(set(&Way::ALL), seconds(10_000));
        assert!(ways.peers.is_empty());
    }
}
