//! Tests of the decider. The robot is peer 1, and has one row in a minute. The collectors are peers 2 and 3.

use super::*;
use crate::batch::stated::tests::{NOW, cid_of, name, peer, propose, publish, state_key, swarm};
use crate::batch::stated::{StatedReceipt, announced, receipt_item};
use proptest::prelude::*;

const ROBOT: u8 = 1;
/// Seconds in a minute and in an hour.
const MINUTE: u64 = 60;
const HOUR: u64 = 3600;

fn history(byte: u8) -> HistoryId {
    HistoryId::from_bytes([byte; 8])
}

/// A robot with its shell, and what is in IPFS.
struct Robot {
    batching: Batching,
    set: Set,
    now: Time,
    /// Numbers of the rows on its disk.
    rows: std::ops::RangeInclusive<u64>,
    /// Pinned batches with the numbers of their rows.
    pins: BTreeMap<Cid, (u64, u64)>,
    kept: Option<BatchState>,
    made: usize,
    is_certain: bool,
}

impl Robot {
    fn new() -> Self {
        let mut set = swarm();
        name(&mut set, 2, true, NOW);
        state_key(&mut set, 2, NOW);
        let batching = Batching::new(peer(ROBOT), None, history(1));
        Self {
            batching,
            set,
            now: NOW,
            rows: std::ops::RangeInclusive::new(1, 0),
            pins: BTreeMap::new(),
            kept: None,
            made: 0,
            is_certain: true,
        }
    }

    fn count(&mut self) {
        let batched = self.batching.batched();
        let (oldest, last) = (*self.rows.start(), *self.rows.end());
        let rows = last.saturating_sub(batched.max(oldest - 1)) as usize;
        let seconds = rows as u64 * MINUTE;
        self.batching.set_pending(Pending { oldest, last, rows, seconds });
    }

    /// Decides, publishes and works, as the daemon does.
    fn decide(&mut self) {
        self.count();
        let moment = Moment { is_certain: self.is_certain, ..Moment::certain(self.now) };
        let Decision { statements, actions, .. } = self.batching.decide(&self.set, moment);
        publish(&mut self.set, ROBOT, statements, self.now);
        for action in actions {
            match action {
                Action::Make(order) => self.make(&order),
                Action::Save(state) => self.kept = Some(state),
                Action::Release(cid) => assert!(self.pins.remove(&cid).is_some(), "it is released once"),
            }
        }
    }

    fn make(&mut self, order: &Order) {
        let first = (order.after + 1).max(*self.rows.start());
        let last = (*self.rows.end()).min(first + order.most as u64 - 1);
        assert!(first <= last && order.base <= order.after && !order.collectors.is_empty());
        self.made += 1;
        let cid = cid_of(format!("{} {last} {}", order.after, self.made).as_bytes());
        let rows = (last - first + 1) as usize;
        if self.batching.made(&Made { cid, first, last, rows, bytes: 1000 }) {
            self.pins.insert(cid, (first, last));
            self.kept = Some(self.batching.state().clone());
        }
    }

    /// Lets minutes pass. The disk holds 31 days.
    fn run(&mut self, minutes: u64) {
        for _ in 0..minutes {
            self.now = self.now.plus(MINUTE);
            let last = self.rows.end() + 1;
            self.rows = last.saturating_sub(31 * 24 * 60 - 1).max(*self.rows.start())..=last;
            self.decide();
            if self.now.0.is_multiple_of(2 * HOUR) {
                state_key(&mut self.set, 2, self.now);
            }
        }
    }

    fn restart(&mut self) {
        let state = self.kept.iter().flat_map(|state| &state.outstanding);
        let named: BTreeSet<Cid> = state.map(|batch| batch.cid.0).collect();
        self.pins.retain(|cid, _| named.contains(cid));
        self.batching = Batching::new(peer(ROBOT), self.kept.clone(), history(2));
    }

    fn announced(&self) -> Vec<(u64, u64)> {
        let batches = announced(&self.set, self.now).remove(&peer(ROBOT)).unwrap_or_default();
        let mut ranges: Vec<(u64, u64)> = batches.iter().map(|batch| (batch.after, batch.last)).collect();
        ranges.sort_unstable();
        ranges
    }

    fn receipt(&mut self, collector: u8, last: u64) {
        let receipt = StatedReceipt { history: self.batching.state().history, last };
        let item = receipt_item(peer(collector), peer(ROBOT), &receipt).unwrap();
        propose(&mut self.set, collector, item, self.now);
    }

    /// Checks that all rows on the disk are stored, in a batch, or pending, and that each batch is pinned and announced.
    fn check(&mut self) {
        // A batch that was just made is announced by the next decision.
        self.decide();
        let state = self.batching.state();
        let ranges: Vec<(u64, u64)> =
            state.outstanding.iter().map(|batch| (batch.after, batch.last)).collect();
        assert_eq!(self.announced(), ranges);
        assert!(ranges.len() <= MAX_OUTSTANDING && self.pins.len() == ranges.len());
        assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0), "{ranges:?}");
        assert!(ranges.first().is_none_or(|first| first.0 <= state.base));
    }
}

#[test]
fn a_batch_is_made_after_a_while_and_forgotten_after_its_receipt() {
    let mut robot = Robot::new();
    robot.run(359);
    assert_eq!(robot.announced(), []);
    robot.run(2);
    assert_eq!(robot.announced(), [(0, 360)]);
    robot.check();
    robot.receipt(2, 360);
    robot.run(1);
    assert_eq!((robot.announced(), robot.pins.len(), robot.batching.base()), (vec![], 0, 360));
    robot.run(360);
    assert_eq!(robot.announced(), [(360, 720)]);
}

#[test]
fn rows_of_an_earlier_boot_do_not_wait() {
    let row = |boot: u8, millis| Sample {
        stamp: Stamp { boot: crate::sample::BootId::new([boot; 16]), millis },
        sequence: 7,
        readings: crate::sample::Readings::default(),
    };
    let now = row(2, 90_000).stamp;
    let of = |rows: &[Sample]| {
        let mut pending = Pending { oldest: 3, ..Pending::default() };
        pending.count(rows, now);
        pending
    };
    assert_eq!(of(&[row(1, 50)]), Pending { oldest: 3, last: 7, rows: 1, seconds: u64::MAX });
    assert_eq!(of(&[row(2, 30_000)]).seconds, 60);
    assert_eq!(of(&[]), Pending { oldest: 3, ..Pending::default() });
    let mut robot = Robot::new();
    robot.rows = 1..=5;
    robot.batching.set_wait(300);
    robot.decide();
    assert_eq!(robot.made, 0, "receipts and roles may still arrive");
    robot.run(2);
    assert_eq!(robot.announced(), [(0, 6)]);
    robot.run(7);
    assert_eq!(robot.made, 1, "the next one has a pause");
}

#[test]
fn a_month_without_a_receipt_is_kept_in_few_batches() {
    let mut robot = Robot::new();
    robot.batching.set_wait(HOUR);
    for day in 1..=31 {
        robot.run(24 * 60);
        robot.check();
        let (first, _) = robot.announced()[0];
        assert_eq!((first, robot.batching.state().lost), (0, 0), "after {day} days");
    }
    println!("{} batches were made in a month; at its end: {:?}", robot.made, robot.announced());
    assert!(robot.made < 31 * 24 + 1);
    let last = robot.announced().last().unwrap().1;
    robot.receipt(2, last);
    robot.run(1);
    assert_eq!((robot.announced(), robot.pins.len()), (vec![], 0));
}

#[test]
fn a_month_that_was_not_in_batches_is_made_into_full_ones_quickly() {
    let mut robot = Robot::new();
    let rows = 31 * 24 * 60 - 60;
    robot.rows = 1..=rows;
    robot.decide();
    robot.run(9);
    robot.check();
    let ranges = robot.announced();
    assert!(ranges.len() == 6 && ranges[0] == (0, FULL_ROWS as u64) && ranges[5].1 >= rows, "{ranges:?}");
}

#[test]
fn rows_that_the_disk_has_no_more_are_given_up_and_counted_when_there_are_too_many() {
    let mut robot = Robot::new();
    for _ in 0..60 {
        robot.run(24 * 60);
        robot.check();
    }
    let state = robot.batching.state();
    println!("{} rows were lost in 60 days, and {} batches made", state.lost, robot.made);
    assert!(state.lost > 0 && state.base > 0);
    let held: usize = state.outstanding.iter().map(|batch| batch.rows).sum();
    assert!(held >= 31 * 24 * 60, "{held}");
}

#[test]
fn forged_receipts_change_nothing() {
    let mut robot = Robot::new();
    robot.run(361);
    robot.receipt(9, 360);
    robot.receipt(2, 100_000);
    robot.run(1);
    robot.check();
    assert_eq!(robot.announced(), [(0, 360)]);
    name(&mut robot.set, 9, true, robot.now);
    robot.run(1);
    assert_eq!(robot.announced(), [], "a role names the peer now");
}

#[test]
fn without_a_collector_or_a_known_time_nothing_is_made() {
    let mut robot = Robot::new();
    robot.is_certain = false;
    robot.run(400);
    assert_eq!(robot.made, 0);
    robot.is_certain = true;
    robot.run(1);
    assert_eq!(robot.made, 1);
    robot.is_certain = false;
    name(&mut robot.set, 2, false, robot.now);
    robot.run(400);
    assert_eq!(robot.announced().len(), 1, "roles are not known for sure");
    robot.is_certain = true;
    robot.run(1);
    robot.check();
    assert_eq!((robot.announced(), robot.pins.len(), robot.made), (vec![], 0, 1), "nobody could open it");
}

#[test]
fn while_the_time_is_not_known_only_known_collectors_get_the_history() {
    let mut robot = Robot::new();
    robot.run(10);
    robot.is_certain = false;
    name(&mut robot.set, 3, true, robot.now);
    state_key(&mut robot.set, 3, robot.now);
    robot.run(400);
    robot.check();
    let sealed_for = |robot: &Robot| {
        let batches = robot.batching.state().outstanding.iter();
        batches.map(|batch| batch.sealed_for.iter().copied().collect::<Vec<_>>()).collect::<Vec<_>>()
    };
    assert_eq!(sealed_for(&robot), [[peer(2)]], "a role that appeared meanwhile is not known for sure");
    robot.receipt(3, 360);
    robot.run(1);
    assert_eq!(robot.announced().len(), 1, "nor is its receipt");
    robot.receipt(2, 360);
    robot.run(1);
    assert_eq!(robot.announced(), []);
    name(&mut robot.set, 2, false, robot.now);
    robot.run(400);
    assert_eq!(robot.announced(), [], "the only known collector is dismissed");
}

#[test]
fn a_new_collector_gets_the_batches_after_a_pause_and_a_former_one_loses_them() {
    let mut robot = Robot::new();
    robot.run(361);
    for seed in [3, 4] {
        name(&mut robot.set, seed, true, robot.now);
        state_key(&mut robot.set, seed, robot.now);
        robot.run(3);
        robot.check();
    }
    let sealed_for = |robot: &Robot| {
        robot.batching.state().outstanding.iter().map(|batch| batch.sealed_for.len()).collect::<Vec<_>>()
    };
    assert_eq!(sealed_for(&robot), [2], "the second one waits");
    for _ in 0..7 {
        robot.run(60);
        for seed in [3, 4] {
            state_key(&mut robot.set, seed, robot.now);
        }
    }
    assert_eq!(sealed_for(&robot).first(), Some(&3));
    name(&mut robot.set, 3, false, robot.now);
    robot.run(12);
    robot.check();
    let former = robot.batching.state().outstanding.iter().any(|batch| batch.sealed_for.contains(&peer(3)));
    assert!(!former && robot.announced()[0].0 == 0, "{:?}", robot.announced());
}

#[test]
fn a_restart_continues_and_a_lost_state_begins_a_new_history() {
    let mut robot = Robot::new();
    robot.run(800);
    let before = robot.announced();
    robot.restart();
    robot.run(2);
    assert_eq!(robot.announced(), before);
    robot.kept = None;
    robot.restart();
    robot.run(3);
    robot.check();
    assert_eq!((robot.batching.state().history, robot.announced()[0].0), (history(2), 0));
}

#[test]
fn a_history_that_begins_again_has_a_new_id() {
    let mut robot = Robot::new();
    robot.run(400);
    robot.receipt(2, 360);
    robot.run(1);
    robot.restart();
    robot.rows = 1..=5;
    robot.run(360);
    robot.check();
    assert_eq!((robot.batching.state().history, robot.announced()), (history(2), vec![(0, 360)]));
}

#[test]
fn consent_that_is_withdrawn_withdraws_the_batches() {
    let mut robot = Robot::new();
    robot.run(361);
    robot.batching.set_allowed(false);
    robot.run(400);
    robot.check();
    assert_eq!((robot.announced(), robot.made), (vec![], 1));
    robot.batching.set_allowed(true);
    robot.run(2);
    assert_eq!(robot.announced().len(), 1);
}

#[test]
fn lost_content_is_made_again() {
    let mut robot = Robot::new();
    robot.run(361);
    let cid = *robot.pins.keys().next().unwrap();
    robot.batching.lost(&cid);
    robot.run(12);
    robot.check();
    assert!(!robot.pins.contains_key(&cid) && robot.announced()[0].0 == 0);
}

#[test]
fn announcements_are_renewed_after_half_of_their_lifetime() {
    let mut robot = Robot::new();
    robot.run(361);
    let until = |robot: &Robot| {
        let batch = robot.batching.state().outstanding[0].stated(history(1));
        let key = dcache::Key { item: batch_item(peer(ROBOT), &batch).unwrap(), signer: peer(ROBOT) };
        robot.set.get(&key).unwrap().validity().until().unwrap()
    };
    // There are no new rows.
    let (before, rows) = (until(&robot), robot.rows.clone());
    for _ in 0..BATCHES.lifetime() / 2 / MINUTE + 1 {
        robot.now = robot.now.plus(MINUTE);
        robot.rows = rows.clone();
        robot.decide();
    }
    assert!(until(&robot) > before.plus(BATCHES.lifetime() / 3));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn rows_are_always_stored_in_a_batch_or_pending(
        steps in proptest::collection::vec((0..7_u8, 1..400_u64), 1..20),
    ) {
        let mut robot = Robot::new();
        robot.batching.set_wait(HOUR);
        // The first decision saves the ID of the history.
        robot.decide();
        for (kind, minutes) in steps {
            match kind {
                0 => robot.restart(),
                1 => {
                    let last = robot.announced().get(minutes as usize % 3).map_or(0, |range| range.1);
                    robot.receipt(2, last);
                }
                2 => {
                    name(&mut robot.set, 3, minutes.is_multiple_of(2), robot.now);
                    state_key(&mut robot.set, 3, robot.now);
                }
                3 => robot.now = Time(robot.now.0 - 40 * minutes.min(20)),
                _ => {}
            }
            state_key(&mut robot.set, 2, robot.now);
            robot.run(minutes);
            robot.decide();
            let state = robot.batching.state();
            prop_assert!(state.history == history(1) && state.lost == 0);
            let ranges: Vec<_> = state.outstanding.iter().map(|batch| (batch.after, batch.last)).collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0));
            prop_assert!(ranges.first().is_none_or(|first| first.0 <= state.base) && ranges.len() <= MAX_OUTSTANDING);
            prop_assert_eq!(robot.pins.len(), ranges.len());
        }
    }
}
