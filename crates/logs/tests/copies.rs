//! Tests of the number of copies, with several deciders that exchange records.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use dcache::{Item, Key, Keypair, Moment, PeerId, Record, Set, Statements, Time, Validity};
use ipfs::Cid;
use logs::buckets::{self, LIFETIME, Station};
use logs::{Action, CopyRules, Description, Pressure, ReleaseReason, Replication};
use proptest::prelude::*;
use service::{Decide as _, Decision};
use std::collections::{BTreeMap, BTreeSet};

const NOW: Time = Time(1_800_000_000);
const HEAL: u64 = 600;
const MIB: u64 = 1 << 20;
/// Difference between two clocks, in seconds, for which one counts as wrong.
const WRONG: u64 = 90;

fn cid() -> Cid {
    buckets::parse("bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku").unwrap()
}

fn peer(seed: u8) -> PeerId {
    Keypair::from_seed([seed; 32]).peer_id()
}

fn description(seed: u8) -> Description {
    Description {
        filename: "a.bag".into(),
        path: None,
        size: 5,
        changed: NOW,
        uploader: peer(seed),
        recording: None,
    }
}

/// A robot with its own records, its decider and its disk.
struct Robot {
    seed: u8,
    set: Set,
    decider: Replication,
    kept: BTreeMap<Cid, Description>,
    /// Number of files that it fetched.
    fetched: usize,
    released: Vec<ReleaseReason>,
}

impl Robot {
    fn new(seed: u8, copies: usize, heal: u64) -> Self {
        let mut decider = Replication::new(peer(seed));
        decider.set_copy_rules(CopyRules { copies, heal });
        decider.set_room(MIB);
        Self { seed, set: Set::default(), decider, kept: BTreeMap::new(), fetched: 0, released: Vec::new() }
    }

    fn publish(&mut self, mut statements: Statements, now: Time) {
        statements.keep_worthwhile(&self.set, peer(self.seed), Moment::certain(now));
        for statement in statements.into_signable().unwrap() {
            let key = Key { item: statement.item().clone(), signer: peer(self.seed) };
            let former = self.set.get(&key).map(Record::keep).unwrap_or_default();
            let sequence = self.set.latest_sequence(peer(self.seed)) + 1;
            let record = Record::sign(statement, &Keypair::from_seed([self.seed; 32]), sequence, former);
            self.set.admit_verified(record, now).unwrap();
        }
    }

    fn is_present_for(&mut self, seconds: u64, now: Time) {
        let mut statements = Statements::new();
        let item = Item { bucket: dcache::buckets::PEER.path(), data: peer(self.seed).into() };
        statements.insist(item, Validity::stated(now, seconds));
        self.publish(statements, now);
    }

    fn share(&mut self, now: Time) {
        self.kept.insert(cid(), description(self.seed));
        let mut statements = Statements::new();
        statements.propose(Station::Files.item(&cid()), Validity::stated(now, LIFETIME));
        let data = description(self.seed).to_data().unwrap();
        statements.propose(Item { bucket: buckets::info(&cid()), data }, Validity::stated(now, LIFETIME));
        self.publish(statements, now);
    }

    /// Decides, and carries out the decision at once.
    fn decide(&mut self, now: Time) -> Decision<Action> {
        self.decider.set_kept(self.kept.clone());
        let decision = self.decider.decide(&self.set, Moment::certain(now));
        self.publish(decision.statements.clone(), now);
        for action in &decision.actions {
            match action {
                Action::Take { file, .. } => {
                    self.fetched += 1;
                    self.kept.insert(file.cid, description(1));
                }
                Action::Release(cid, reason) => {
                    self.kept.remove(cid);
                    self.released.push(*reason);
                }
                Action::Drop(_) | Action::Withdraw(_) | Action::TakeBack(_) => {}
            }
        }
        decision
    }
}

/// Copies all records of one robot to another.
fn send(robots: &mut [Robot], from: usize, to: usize, now: Time) {
    let is_new = |record: &&Record| {
        let known = robots[to].set.get(&Key::from(*record));
        known.is_none_or(|known| known.signature().sequence < record.signature().sequence)
    };
    let records: Vec<Record> = robots[from].set.records().filter(is_new).cloned().collect();
    for record in records {
        let _ = robots[to].set.admit_verified(record, now);
    }
}

fn exchange(robots: &mut [Robot], now: Time) {
    for from in 0..robots.len() {
        for to in 0..robots.len() {
            send(robots, from, to, now);
        }
    }
}

/// Runs the robots with these indexes for some seconds, in steps of five seconds.
fn run(robots: &mut [Robot], on: &[usize], (from, seconds): (Time, u64)) -> Time {
    for second in (0..seconds).step_by(5) {
        let now = from.plus(second);
        for index in on {
            robots[*index].is_present_for(600, now);
        }
        for from in on {
            for to in on {
                send(robots, *from, *to, now);
            }
        }
        for index in on {
            robots[*index].decide(now);
        }
    }
    from.plus(seconds)
}

fn holders(robots: &[Robot]) -> Vec<usize> {
    (0..robots.len()).filter(|index| robots[*index].kept.contains_key(&cid())).collect()
}

fn swarm(number: u8, copies: usize) -> Vec<Robot> {
    (1..=number).map(|seed| Robot::new(seed, copies, HEAL)).collect()
}

/// Returns ten robots, of which three keep a file, and the time.
fn settled() -> (Vec<Robot>, Time) {
    let mut robots = swarm(10, 3);
    let all: Vec<usize> = (0..10).collect();
    let now = run(&mut robots, &all, (NOW, 20));
    robots[0].share(now);
    let now = run(&mut robots, &all, (now, 60));
    (robots, now)
}

#[test]
fn three_of_ten_robots_keep_a_file_and_the_uploader_is_one_of_them() {
    let (mut robots, now) = settled();
    let three = holders(&robots);
    assert!(three.len() == 3 && three[0] == 0, "{three:?}");
    assert_eq!(robots.iter().map(|robot| robot.fetched).sum::<usize>(), 2);
    let all: Vec<usize> = (0..10).collect();
    run(&mut robots, &all, (now, 4 * HEAL));
    assert_eq!(holders(&robots), three, "nothing moves afterwards");
}

#[test]
fn every_robot_of_a_small_swarm_keeps_every_file_at_once() {
    let mut robots = swarm(3, 3);
    for robot in &mut robots {
        robot.is_present_for(600, NOW);
        robot.decide(NOW);
    }
    robots[0].share(NOW);
    exchange(&mut robots, NOW);
    robots[1].decide(NOW);
    robots[2].decide(NOW);
    assert_eq!(holders(&robots), [0, 1, 2]);
}

#[test]
fn without_a_target_every_robot_keeps_every_file_at_once() {
    let mut robots = swarm(6, 0);
    for robot in &mut robots {
        robot.is_present_for(600, NOW);
    }
    robots[0].share(NOW);
    exchange(&mut robots, NOW);
    for robot in &mut robots[1..] {
        robot.decide(NOW);
    }
    assert_eq!(holders(&robots).len(), 6);
}

#[test]
fn robots_without_room_are_not_chosen() {
    let mut robots = swarm(6, 2);
    for robot in &mut robots[1..4] {
        robot.decider.set_room(0);
    }
    robots[4].decider.set_room(4);
    let now = run(&mut robots, &[0, 1, 2, 3, 4, 5], (NOW, 20));
    robots[0].share(now);
    run(&mut robots, &[0, 1, 2, 3, 4, 5], (now, 60));
    assert_eq!(holders(&robots), [0, 5], "the file has 5 bytes, so it does not fit into 4");
}

#[test]
fn a_short_absence_copies_nothing_and_a_long_one_is_healed() {
    let (mut robots, now) = settled();
    let gone = holders(&robots)[1..].to_vec();
    let left: Vec<usize> = (0..10).filter(|index| !gone.contains(index)).collect();
    let fetched = |robots: &[Robot]| robots.iter().map(|robot| robot.fetched).sum::<usize>();
    // The presence of a robot that was killed ends ten minutes later.
    let now = run(&mut robots, &left, (now, 600 + HEAL - 60));
    assert_eq!(fetched(&robots), 2);
    let now = run(&mut robots, &left, (now, 120));
    let present = holders(&robots).iter().filter(|index| left.contains(index)).count();
    assert_eq!((present, fetched(&robots)), (3, 4));
    // The two come back. The surplus copies are let go of after the healing delay, and three remain.
    let all: Vec<usize> = (0..10).collect();
    let now = run(&mut robots, &all, (now, HEAL - 60));
    assert_eq!(holders(&robots).len(), 5);
    run(&mut robots, &all, (now, 600));
    let three = holders(&robots);
    assert!(three.len() == 3 && three[0] == 0, "{three:?}");
    assert_eq!(fetched(&robots), 4);
}

#[test]
fn a_chosen_robot_that_makes_no_copy_is_replaced_after_the_healing_delay() {
    let mut robots = swarm(10, 3);
    let all: Vec<usize> = (0..10).collect();
    let now = run(&mut robots, &all, (NOW, 20));
    robots[0].share(now);
    exchange(&mut robots, now);
    // The robots that would be chosen have stated their offers, but never decide again.
    let chosen = holders(&settled().0)[1..].to_vec();
    let working: Vec<usize> = all.iter().copied().filter(|index| !chosen.contains(index)).collect();
    let mut at = now;
    for _ in 0..(2 * HEAL / 5) {
        for index in &all {
            robots[*index].is_present_for(600, at);
        }
        exchange(&mut robots, at);
        for index in &working {
            robots[*index].decide(at);
        }
        if at < now.plus(HEAL - 5) {
            assert_eq!(holders(&robots), [0]);
        }
        at = at.plus(5);
    }
    assert_eq!(holders(&robots).len(), 3, "the next two of the ranking keep it");
}

#[test]
fn a_file_that_a_person_pinned_is_fetched_and_never_let_go_of() {
    let (mut robots, now) = settled();
    let all: Vec<usize> = (0..10).collect();
    let other = all.iter().copied().find(|index| !holders(&robots).contains(index)).unwrap();
    robots[other].decider.set_pinned(BTreeSet::from([cid()]));
    let now = run(&mut robots, &all, (now, 30));
    assert!(holders(&robots).contains(&other) && holders(&robots).len() == 4);
    run(&mut robots, &all, (now, 4 * HEAL));
    assert!(holders(&robots).contains(&other), "only unpinned copies may go");
    assert!(holders(&robots).len() >= 3);
}

#[test]
fn a_robot_whose_clock_is_wrong_lets_go_of_nothing() {
    let mut robots = swarm(6, 1);
    for robot in &mut robots {
        robot.kept.insert(cid(), description(1));
    }
    robots[0].share(NOW);
    let all: Vec<usize> = (0..6).collect();
    let mut now = run(&mut robots, &all, (NOW, 60));
    let mut released = 0;
    for _ in 0..400 {
        exchange(&mut robots, now);
        let set = robots[3].set.clone();
        let moment = Moment { neighbours: now.plus(WRONG), ..Moment::certain(now) };
        let decider = &mut robots[3].decider;
        decider.set_kept([(cid(), description(1))].into());
        let decision = decider.decide(&set, moment);
        released += decision.actions.iter().filter(|action| matches!(action, Action::Release(..))).count();
        now = run(&mut robots, &[0, 1, 2, 4, 5], (now, 5));
    }
    assert_eq!(released, 0);
}

#[test]
fn a_full_disk_lets_go_of_the_oldest_copies_that_are_safe_elsewhere() {
    // Five robots keep the file, and none of them is surplus for a day.
    let mut robots: Vec<Robot> = (1..=5).map(|seed| Robot::new(seed, 3, 24 * 3600)).collect();
    for robot in &mut robots {
        robot.kept.insert(cid(), description(1));
    }
    robots[0].share(NOW);
    let all: Vec<usize> = (0..5).collect();
    let now = run(&mut robots, &all, (NOW, 400));
    assert_eq!(holders(&robots).len(), 5);
    let full = Pressure { bytes: 1, is_urgent: false };
    for robot in &mut robots[1..5] {
        robot.decider.set_pressure(full);
        robot.decider.set_room(0);
    }
    let now = run(&mut robots, &all, (now, 60));
    // All four begin to leave at the same time, and see that too few others stay.
    assert!(holders(&robots).len() >= 3, "{:?}", holders(&robots));
    for robot in &mut robots[2..5] {
        robot.decider.set_pressure(Pressure::default());
    }
    let now = run(&mut robots, &all, (now, 1500));
    assert!(!holders(&robots).contains(&1), "the robot with the full disk let go of its copy");
    let left = holders(&robots).len();
    assert!(left >= 3);
    // With few others, only little space makes it go, and the last copy never goes.
    robots[2].decider.set_pressure(full);
    let now = run(&mut robots, &[0, 2], (now, 1500));
    assert!(holders(&robots).contains(&2), "there is one other present copy");
    robots[2].decider.set_pressure(Pressure { bytes: 1, is_urgent: true });
    let now = run(&mut robots, &[2], (now, 1500));
    assert!(holders(&robots).contains(&2), "no other copy is known to be present");
    run(&mut robots, &[0, 2], (now, 1500));
    assert!(!holders(&robots).contains(&2) && holders(&robots).contains(&0));
}

#[test]
fn a_full_disk_relies_on_the_uploader_at_once_and_on_others_after_a_pause() {
    for (is_urgent, seconds, is_released) in [(true, 30, true), (false, 30, false), (false, 600, true)] {
        let mut robots = swarm(2, 2);
        robots[0].share(NOW);
        let now = run(&mut robots, &[0, 1], (NOW, 30));
        assert_eq!(holders(&robots), [0, 1]);
        robots[1].decider.set_pressure(Pressure { bytes: 1, is_urgent });
        robots[1].decider.set_room(0);
        run(&mut robots, &[0, 1], (now, seconds));
        // A robot without room waits for room. This one fetches the file again, so the holders are no measure.
        assert_eq!(!robots[1].released.is_empty(), is_released, "{is_urgent} {seconds}");
        assert!(robots[0].released.is_empty());
    }
}

#[test]
fn the_reason_of_a_release_is_told() {
    let mut robots: Vec<Robot> = (1..=5).map(|seed| Robot::new(seed, 3, HEAL)).collect();
    for robot in &mut robots {
        robot.kept.insert(cid(), description(1));
    }
    robots[0].share(NOW);
    let all: Vec<usize> = (0..5).collect();
    let now = run(&mut robots, &all, (NOW, 400));
    robots[1].decider.set_pressure(Pressure { bytes: 1, is_urgent: false });
    run(&mut robots, &all, (now, 2000));
    let reasons: Vec<_> = robots.iter().flat_map(|robot| robot.released.clone()).collect();
    assert!(
        reasons.contains(&ReleaseReason::Space) && reasons.contains(&ReleaseReason::Surplus),
        "{reasons:?}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Records are delayed at random, each pair of robots separately, also for longer than any time limit. All robots
    /// keep a copy at first, are thought to be present all the time, and want to let go of their copies at once. At most one copy may be missing.
    #[test]
    fn robots_that_let_go_at_the_same_time_leave_enough_copies(
        copies in 1usize..4,
        steps in proptest::collection::vec((0usize..6, 1u64..60, any::<u64>(), 0u64..4), 300),
    ) {
        let mut robots: Vec<Robot> = (1..=6).map(|seed| Robot::new(seed, copies, 0)).collect();
        for robot in &mut robots {
            robot.is_present_for(6 * 24 * 3600, NOW);
            robot.kept.insert(cid(), description(1));
            robot.decider.set_pressure(Pressure { bytes: 1, is_urgent: false });
            robot.decider.set_room(0);
        }
        robots[0].share(NOW);
        let mut now = NOW;
        for _ in 0..2 {
            exchange(&mut robots, now);
            for robot in &mut robots {
                robot.decide(now);
            }
            now = now.plus(5);
        }
        for (index, seconds, lots, rate) in steps {
            now = now.plus(seconds / 2 + 1);
            for pair in 0..36u32 {
                // In each step, up to a tenth of the pairs exchange records.
                if lots.rotate_left(pair * 7) % 32 < rate {
                    send(&mut robots, (pair / 6) as usize, (pair % 6) as usize, now);
                }
            }
            robots[index].decide(now);
            prop_assert!(holders(&robots).len() >= (copies - 1).max(1), "{:?}", holders(&robots));
        }
    }
}
