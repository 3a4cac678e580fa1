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

    /// Like [`Self::choose`], long after a new peer was heard.
    fn choose_later(&mut self, at: u64) -> CastModes {
        self.cast.pause = ALL_MODES;
        self.choose(at)
    }
}

#[test]
fn all_modes_are_used_while_no_peer_is_heard() {
    let mut world = World::new();
    assert_eq!([0, 1, 500].map(|at| world.choose(at)), [set(&CastMode::ALL); 3]);
}

#[test]
fn broadcast_alone_is_used_where_it_suffices_and_all_modes_rarely() {
    let mut world = World::new();
    world.choose(0);
    let mut all = Vec::new();
    for at in 1..=300 {
        world.say(1, if at % 60 == 0 { &CastMode::ALL } else { &[B] }, at);
        world.say(2, if at % 60 == 30 { &CastMode::ALL } else { &[B] }, at);
        match world.choose(at) {
            chosen if chosen == set(&CastMode::ALL) => all.push(at),
            chosen => assert_eq!(chosen, set(&[B])),
        }
    }
    assert_eq!(all, [2, 6, 14, 30, 62, 122, 182, 242]);
    // A new peer has to learn by which modes it hears this node.
    world.say(3, &[B], 260);
    let times = (260..290).filter(|at| world.choose(*at) == set(&CastMode::ALL));
    assert_eq!(times.collect::<Vec<_>>(), [260, 264, 272, 288]);
}

#[test]
fn peers_that_come_all_the_time_cause_few_lines_by_all_modes() {
    let mut world = World::new();
    let mut all = 0;
    for at in 1..=200 {
        world.say(at as u8, &[B], at);
        all += u32::from(world.choose(at) == set(&CastMode::ALL));
    }
    assert!((40..=60).contains(&all), "{all}");
}

#[test]
fn multicast_is_used_if_a_peer_is_heard_only_by_multicast() {
    let mut world = World::new();
    world.choose_later(0);
    world.say(1, &[B], 1);
    world.say(2, &[M6], 1);
    assert_eq!(world.choose_later(2), set(&[B, M6]));
    // A single mode that covers both is better than two.
    world.say(1, &[B, M6], 3);
    assert_eq!(world.choose_later(4), set(&[M6]));
    world.say(3, &[M4], 5);
    assert_eq!(world.choose_later(6), set(&[M4, M6]));
}

#[test]
fn broadcast_is_no_longer_used_after_it_has_missed_four_lines() {
    let mut world = World::new();
    world.choose_later(0);
    world.say(1, &CastMode::ALL, 1);
    assert_eq!(world.choose_later(1), set(&[B]));
    for at in 2..=4 {
        world.say(1, &[M4, M6], at);
        assert_eq!(world.choose_later(at), set(&[B]));
    }
    world.say(1, &[M4, M6], 5);
    assert_eq!(world.choose_later(5), set(&[M4]));
    // Broadcast is used again once it delivers a line.
    world.say(1, &[B], 6);
    assert_eq!(world.choose_later(6), set(&[B]));
}

#[test]
fn every_mode_is_tried_when_all_peers_fall_silent() {
    let mut world = World::new();
    world.choose_later(0);
    world.say(1, &[B], 1);
    assert_eq!(world.choose_later(31), set(&[B]));
    assert_eq!(world.choose_later(32), set(&CastMode::ALL));
    world.say(1, &[B], 33);
    assert_eq!(world.choose_later(34), set(&[B]));
}

#[test]
fn a_new_mode_is_used_at_once() {
    let mut world = World::new();
    world.cast.choose(set(&[B, M4]), seconds(0));
    world.say(1, &[B], 1);
    assert_eq!(world.cast.choose(set(&[B, M4]), seconds(1)), set(&[B]));
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
fn a_mode_that_never_delivers_is_noticed_soon_if_two_other_modes_prove_it() {
    let mut world = World::new();
    let is_silent = |world: &World, at| world.cast.is_silent(B, M4, seconds(at));
    for at in [0, 2, 6, 14] {
        world.say(1, &[M4, M6], at);
    }
    assert!(!is_silent(&world, 19) && is_silent(&world, 20));
    assert!(!world.cast.is_silent(M4, M6, seconds(20)));
    // One line is enough to show that the mode works.
    world.say(1, &[M6, M4, B], 21);
    assert!(!is_silent(&world, 22));
    for at in [25, 35, 50] {
        world.say(1, &[M4, M6], at);
    }
    assert!(!is_silent(&world, 51), "it worked lately");
    let mut world = World::new();
    for at in 0..40 {
        world.say(1, &[M4], at);
    }
    assert!(!is_silent(&world, 40), "the peer may not send broadcasts now");
}

#[test]
fn a_line_reaches_all_peers_if_its_modes_are_those_that_this_node_needs() {
    let mut world = World::new();
    world.choose(0);
    world.say(1, &[B], 1);
    let reach = |world: &World, number, mode| world.cast.reach(peer(number), mode, seconds(2));
    assert_eq!(reach(&world, 1, B), LineReach::AllByThis, "only broadcasts are needed");
    world.say(1, &[B, M4], 1);
    assert_eq!(reach(&world, 1, M4), LineReach::All);
    world.say(2, &[M6], 2);
    assert_eq!((reach(&world, 2, M6), reach(&world, 1, M4)), (LineReach::Some, LineReach::Some));
    world.say(1, &[B, M6], 2);
    assert_eq!(reach(&world, 1, M6), LineReach::AllByThis);
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
