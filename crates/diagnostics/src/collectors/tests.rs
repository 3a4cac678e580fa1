//! Tests of the whole way of a history: from the ring of a robot by sealed batches into the table of a collector.

use super::intake::{Changes, Position, RowKey, Table, TakeError, take};
use super::track::RobotState;
use super::{decide, open_fetched};
use crate::batch::content::{encode, paged};
use crate::batch::decide::{Action, Batching};
use crate::batch::make::{make, pending};
use crate::batch::seal::{OpenError, Subject, seal};
use crate::batch::stated::StatedBatch;
use crate::batch::stated::tests::{NOW, cid_of, key, name, peer, publish, state_key, swarm};
use crate::batch::{FleetId, HistoryId, SealingKey};
use crate::collectors::decide::{Collecting, Fetch};
use crate::ring::tests::readings;
use crate::ring::timeline::Anchor;
use crate::ring::{Geometry, History, Resolution};
use crate::sample::{BootId, Sample, Stamp};
use cid::Cid;
use dcache::{Moment, PeerId, Set, Time};
use proptest::prelude::*;
use service::{Decide as _, Decision};
use std::collections::BTreeMap;

/// Seeds of the robot, of the collector, and of a laptop that only carries batches.
const ROBOT: u8 = 1;
const COLLECTOR: u8 = 2;
const LAPTOP: u8 = 3;

/// A table in memory. It can fail before or after a commit, as in a crash.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryTable {
    pub(crate) rows: BTreeMap<RowKey, (Sample, Option<Position>)>,
    pub(crate) given_up: Vec<RowKey>,
    states: BTreeMap<PeerId, RobotState>,
    /// Whether the next commit fails, and whether its changes are made nevertheless.
    crash: Option<bool>,
}

impl Table for MemoryTable {
    type Error = &'static str;

    fn state(&self, robot: PeerId) -> Result<Option<RobotState>, Self::Error> {
        // A state has to survive its way to the disk.
        let text = self.states.get(&robot).map(|state| serde_json::to_string(state).unwrap());
        Ok(text.map(|text| serde_json::from_str(&text).unwrap()))
    }

    fn has(&self, key: &RowKey) -> Result<bool, Self::Error> {
        Ok(self.rows.contains_key(key))
    }

    fn unplaced(&self, robot: PeerId, most: usize) -> Result<Vec<(RowKey, u64)>, Self::Error> {
        let of_robot =
            self.rows.iter().filter(|(key, (_, position))| key.robot == robot && position.is_none());
        let waiting = of_robot.filter(|(key, _)| !self.given_up.contains(key));
        Ok(waiting.take(most).map(|(key, (sample, _))| (*key, sample.stamp.millis)).collect())
    }

    fn commit(&mut self, changes: Changes) -> Result<(), Self::Error> {
        let crash = self.crash.take();
        if crash == Some(false) {
            return Err("the power was lost before the commit");
        }
        for row in changes.rows {
            assert!(self.rows.insert(row.key, (row.sample, row.position)).is_none(), "a row is stored once");
        }
        for (key, position) in changes.placed {
            let former = self.rows.get_mut(&key).unwrap().1.replace(position);
            assert_eq!(former, None, "a row is placed once");
        }
        self.given_up.extend(changes.given_up);
        self.states.insert(changes.robot, changes.state);
        if crash.is_some() { Err("the power was lost after the commit") } else { Ok(()) }
    }
}

impl MemoryTable {
    /// Returns the rows of a robot in the order of their numbers, with their places.
    fn ordered(&self) -> Vec<(u64, BootId, Option<Position>)> {
        let mut rows: Vec<_> =
            self.rows.iter().map(|(key, (_, position))| (key.number, key.boot, *position)).collect();
        rows.sort_unstable_by_key(|(number, boot, _)| (*number, *boot));
        rows
    }
}

/// A robot with its disk.
struct Robot {
    history: History<Vec<u8>>,
    batching: Batching,
    stamp: Stamp,
    boots: u8,
    made: u8,
}

impl Robot {
    fn new() -> Self {
        let (history, _) = History::open(Vec::new(), Geometry::ROBOT).unwrap();
        let batching = Batching::new(peer(ROBOT), None, HistoryId::from_bytes([7; 8]));
        Self { history, batching, stamp: Stamp { boot: BootId::new([0; 16]), millis: 0 }, boots: 0, made: 0 }
    }

    /// Loses the power and everything in memory, and boots.
    fn cut(&mut self) {
        let (empty, _) = History::open(Vec::new(), crate::ring::tests::SMALL).unwrap();
        let disk = std::mem::replace(&mut self.history, empty).into_disk();
        self.history = History::open(disk, Geometry::ROBOT).unwrap().0;
        self.boots += 1;
        // The order of the IDs differs from that of the boots.
        self.stamp = Stamp { boot: BootId::new([self.boots.wrapping_mul(151); 16]), millis: 0 };
        let kept = self.batching.state().clone();
        self.batching = Batching::new(peer(ROBOT), Some(kept), HistoryId::from_bytes([8; 8]));
    }

    /// Measures for some seconds. The clock shows a time that is `offset` seconds after the boot.
    fn measure(&mut self, seconds: u64, offset: Option<u64>) {
        for _ in 0..seconds / 10 {
            self.stamp.millis += 10_000;
            let time = offset.map(|offset| Time(offset + self.stamp.millis / 1000));
            self.history.add(self.stamp, readings(self.history.sequence() + 1), time).unwrap();
        }
    }

    /// Decides, and makes the batches that are due.
    fn decide(&mut self, set: &mut Set, ipfs: &mut BTreeMap<Cid, Vec<u8>>, now: Time) {
        let pending = pending(&self.history, self.batching.batched(), self.stamp).unwrap();
        self.batching.set_pending(pending);
        let Decision { statements, actions, .. } = self.batching.decide(set, Moment::certain(now));
        publish(set, ROBOT, statements, now);
        for action in actions {
            let Action::Make(order) = action else { continue };
            self.made += 1;
            let about = (FleetId::of(set.policy()).unwrap(), peer(ROBOT));
            let batch = make(&self.history, &order, about, &[self.made; 32]).unwrap();
            let cid = cid_of(&batch.bytes);
            assert!(self.batching.made(&batch.made(cid)));
            ipfs.insert(cid, batch.bytes);
        }
    }
}

/// A collector with its table.
struct Collector {
    collecting: Collecting,
    table: MemoryTable,
    key: SealingKey,
}

impl Collector {
    fn new() -> Self {
        let key = SealingKey::of(&key(COLLECTOR));
        let collecting = Collecting::new(peer(COLLECTOR), key.public(), BTreeMap::new());
        Self { collecting, table: MemoryTable::default(), key }
    }

    /// Decides, and stores what it can fetch.
    fn decide(&mut self, set: &mut Set, ipfs: &BTreeMap<Cid, Vec<u8>>, now: Time) {
        let fleet = FleetId::of(set.policy()).unwrap();
        let Decision { statements, actions, .. } = self.collecting.decide(set, Moment::certain(now));
        publish(set, COLLECTOR, statements, now);
        for action in actions {
            let decide::Action::Fetch(fetch) = action else { continue };
            let Some(bytes) = ipfs.get(&fetch.batch.cid) else {
                self.collecting.failed(&fetch, now);
                continue;
            };
            let (base, content) = open_fetched(bytes, &fetch, fleet, (peer(COLLECTOR), &self.key)).unwrap();
            take(&mut self.table, (fetch.robot, None), (&fetch.batch, base), &content, now).unwrap();
            self.collecting.stored(&fetch, self.table.states[&fetch.robot].clone());
        }
    }
}

#[test]
fn a_robot_that_was_offline_for_a_month_loses_only_the_last_minute_before_each_power_cut() {
    let (mut robot, mut collector, mut set, mut ipfs) =
        (Robot::new(), Collector::new(), swarm(), BTreeMap::new());
    let mut cuts = Vec::new();
    for boot in 0..50_u64 {
        robot.cut();
        // Each boot has another length, and ends at another second of a minute.
        robot.measure(1800 + boot * 997 % 7200 / 10 * 10, boot.is_multiple_of(2).then_some(0));
        cuts.push((robot.stamp, robot.history.sequence()));
    }
    robot.cut();
    let mut now = NOW;
    name(&mut set, COLLECTOR, true, now);
    state_key(&mut set, COLLECTOR, now);
    // The clock becomes right a minute after the robot is in a network.
    robot.measure(60, Some(0));
    for _ in 0..10 {
        robot.measure(60, Some(now.0 - robot.stamp.millis / 1000));
        now = now.plus(60);
        robot.decide(&mut set, &mut ipfs, now);
        // The laptop carries the batches. It has neither a key for them, nor can it change them.
        for bytes in ipfs.values() {
            let stolen =
                crate::batch::seal::open(bytes, (peer(LAPTOP), &SealingKey::of(&key(LAPTOP))), |_| true);
            assert_eq!(stolen, Err(OpenError::NotForUs));
        }
        collector.decide(&mut set, &ipfs, now);
    }
    let rows = collector.table.ordered();
    for (stamp, _) in &cuts {
        let of_boot: Vec<u64> = collector
            .table
            .rows
            .iter()
            .filter(|(key, _)| key.boot == stamp.boot)
            .map(|(_, (row, _))| row.stamp.millis)
            .collect();
        let last = of_boot.iter().max().unwrap();
        assert!(stamp.millis - last < 60_000, "{} s are missing", (stamp.millis - last) / 1000);
        let minutes = stamp.millis / 60_000;
        assert_eq!(of_boot.len() as u64, minutes, "one row in each minute");
    }
    let earlier: Vec<_> = rows.iter().filter(|(number, _, _)| *number <= cuts[49].1).collect();
    assert!(earlier.len() > 2000 && earlier.iter().all(|(_, _, position)| position.is_some()));
    let times: Vec<Time> = rows.iter().filter_map(|(_, _, position)| Some((*position)?.time)).collect();
    assert!(
        times.is_sorted() && times[0] > crate::collectors::check::EARLIEST && *times.last().unwrap() <= now
    );
    let boots: Vec<BootId> = rows.iter().map(|(_, boot, _)| *boot).collect();
    let changes = boots.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert_eq!(changes, 50, "the boots follow each other");
    assert!(robot.batching.base() >= cuts[49].1, "the robot has the receipt");
    let sizes: Vec<usize> = ipfs.values().map(Vec::len).collect();
    println!("{} rows of 50 boots in {} batches of {sizes:?} bytes", rows.len(), ipfs.len());
}

#[test]
fn rows_of_a_wrong_clock_get_their_exact_time_from_a_later_batch() {
    let (mut robot, mut collector, mut set, mut ipfs) =
        (Robot::new(), Collector::new(), swarm(), BTreeMap::new());
    robot.cut();
    name(&mut set, COLLECTOR, true, NOW);
    state_key(&mut set, COLLECTOR, NOW);
    robot.batching.set_wait(60);
    let mut now = NOW;
    for step in 0..30 {
        let is_right = step >= 15;
        robot.measure(60, is_right.then_some(now.0.saturating_sub(robot.stamp.millis / 1000)));
        now = now.plus(60);
        robot.decide(&mut set, &mut ipfs, now);
        collector.decide(&mut set, &ipfs, now);
        let places: Vec<bool> =
            collector.table.ordered().iter().map(|(_, _, position)| position.is_some()).collect();
        assert!(is_right || !places.contains(&true), "nothing is known about the time");
    }
    let rows = collector.table.ordered();
    assert!(
        rows.len() > 20
            && rows.iter().all(|(_, _, position)| position.is_some_and(|position| position.is_exact))
    );
    let times: Vec<u64> = rows.iter().map(|(_, _, position)| position.unwrap().time.0).collect();
    assert!(times.windows(2).all(|pair| pair[0] + 60 == pair[1]), "{times:?}");
}

/// A generated history: rows with numbers, and the anchors of some boots.
#[derive(Clone, Debug)]
struct Lived {
    rows: Vec<Sample>,
    anchors: Vec<Anchor>,
    /// The time at which each row was measured.
    truth: Vec<u64>,
}

fn any_lived() -> impl Strategy<Value = Lived> {
    let boot = (1..20_u64, 0..100_000_u64, any::<bool>());
    proptest::collection::vec(boot, 1..8).prop_map(|boots| {
        let mut lived = Lived { rows: Vec::new(), anchors: Vec::new(), truth: Vec::new() };
        let (mut number, mut start) = (0, 1_700_000_000);
        for (place, (minutes, gap, has_anchor)) in boots.into_iter().enumerate() {
            start += gap;
            let boot = BootId::new([(place as u8).wrapping_mul(151); 16]);
            for minute in 1..=minutes {
                number += 6;
                let stamp = Stamp { boot, millis: minute * 60_000 };
                lived.rows.push(Sample { stamp, sequence: number, readings: readings(number) });
                lived.truth.push(start + minute * 60);
                if has_anchor && minute == minutes {
                    lived.anchors.push(Anchor { stamp, time: Time(start + minute * 60) });
                }
            }
            start += minutes * 60;
        }
        lived
    })
}

/// Returns the batch with the rows after one number up to another, as its robot makes it.
fn batch_of(lived: &Lived, after: u64, last: u64) -> (StatedBatch, Vec<u8>) {
    let rows: Vec<Sample> =
        lived.rows.iter().filter(|row| after < row.sequence && row.sequence <= last).cloned().collect();
    let content = encode(&paged(Resolution::Minutes, &rows, &lived.anchors));
    let history = HistoryId::from_bytes([7; 8]);
    (StatedBatch { history, after, last, bytes: 1, cid: cid_of(&content) }, content)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn batches_in_any_order_with_overlaps_repetitions_and_crashes_give_each_row_once(
        lived in any_lived(),
        // Beginnings and sizes of batches, and what happens at their commits.
        batches in proptest::collection::vec((any::<prop::sample::Index>(), 1..400_u64, 0..6_u8), 0..30),
    ) {
        let (mut table, end) = (MemoryTable::default(), lived.rows.len() as u64 * 6);
        let give = |table: &mut MemoryTable, after: u64, last: u64| {
            let (batch, content) = batch_of(&lived, after, last);
            take(table, (peer(ROBOT), None), (&batch, 0), &content, NOW)
        };
        for (place, size, crash) in batches {
            let after = place.index(end as usize) as u64;
            let last = (after + size).min(end);
            table.crash = match crash { 0 => Some(false), 1 => Some(true), _ => None };
            let before = table.rows.len();
            match give(&mut table, after, last) {
                Ok(taken) => {
                    prop_assert_eq!(table.rows.len(), before + taken.new);
                    let complete = taken.receipt.map_or(0, |receipt| receipt.last);
                    let needed = lived.rows.iter().filter(|row| row.sequence <= complete);
                    let has = |row: &Sample| table.rows.keys().any(|key| (key.boot, key.number) == (row.stamp.boot, row.sequence));
                    prop_assert!(needed.clone().all(has), "a receipt is never too early");
                }
                Err(error) => prop_assert!(matches!(error, TakeError::Store(_)), "{error}"),
            }
        }
        table.crash = None;
        let taken = give(&mut table, 0, end).unwrap();
        prop_assert_eq!(taken.receipt.map(|receipt| receipt.last), Some(end));
        let again = give(&mut table, 0, end).unwrap();
        prop_assert_eq!((again.new, again.placed, again.known), (0, 0, lived.rows.len()));
        let stored = table.ordered();
        let numbers: Vec<(u64, BootId)> = stored.iter().map(|(number, boot, _)| (*number, *boot)).collect();
        prop_assert_eq!(numbers, lived.rows.iter().map(|row| (row.sequence, row.stamp.boot)).collect::<Vec<_>>());
        let exact = stored.iter().zip(&lived.truth).all(|((_, _, position), truth)| {
            position.is_none_or(|position| !position.is_exact || position.time.0 == *truth)
        });
        prop_assert!(exact);
        let times: Vec<Time> = stored.iter().filter_map(|(_, _, position)| Some((*position)?.time)).collect();
        prop_assert!(times.is_sorted(), "the order is kept");
        // Only rows of the last boot wait, or all of them if no boot ever had a time.
        let last_boot = lived.rows.last().unwrap().stamp.boot;
        let waits = |(_, boot, position): &(u64, BootId, Option<Position>)| position.is_none() && *boot != last_boot;
        prop_assert!(lived.anchors.is_empty() || !stored.iter().any(waits));
    }

    #[test]
    fn any_content_is_refused_or_bounded(content in proptest::collection::vec(any::<u8>(), 0..300), after in 0..9_u64) {
        let mut table = MemoryTable::default();
        let batch = StatedBatch { after, last: after + 5, ..batch_of(&Lived { rows: vec![], anchors: vec![], truth: vec![] }, 0, 1).0 };
        if take(&mut table, (peer(ROBOT), None), (&batch, 0), &content, NOW).is_err() {
            prop_assert!(table.rows.is_empty() && table.states.is_empty(), "a refused batch changes nothing");
        }
    }
}

#[test]
fn a_batch_for_another_fleet_or_of_another_robot_stays_closed() {
    let subject = Subject {
        fleet: FleetId::from_bytes([1; 32]),
        robot: peer(ROBOT),
        history: HistoryId::from_bytes([7; 8]),
        base: 0,
        after: 0,
        last: 9,
    };
    let mine = SealingKey::of(&key(COLLECTOR));
    let sealed = seal(&subject, &[(peer(COLLECTOR), mine.public())].into(), b"x", &[1; 32]).unwrap();
    let batch = StatedBatch { history: subject.history, after: 0, last: 9, bytes: 1, cid: cid_of(&sealed) };
    let open = |robot: u8, batch: StatedBatch, fleet: FleetId, seed: u8| {
        let fetch = Fetch { robot: peer(robot), batch };
        open_fetched(&sealed, &fetch, fleet, (peer(seed), &SealingKey::of(&key(seed)))).map(|(base, _)| base)
    };
    assert_eq!(open(ROBOT, batch, subject.fleet, COLLECTOR), Ok(0));
    assert_eq!(
        open(9, batch, subject.fleet, COLLECTOR),
        Err(OpenError::Subject),
        "another robot announces it"
    );
    assert_eq!(open(ROBOT, batch, FleetId::from_bytes([2; 32]), COLLECTOR), Err(OpenError::Subject));
    assert_eq!(
        open(ROBOT, StatedBatch { last: 10, ..batch }, subject.fleet, COLLECTOR),
        Err(OpenError::Subject)
    );
    assert_eq!(open(ROBOT, batch, subject.fleet, 4), Err(OpenError::NotForUs));
}

#[test]
fn rows_of_a_former_history_are_placed_when_the_next_one_begins() {
    let mut table = MemoryTable::default();
    let boot = |byte| BootId::new([byte; 16]);
    let row = |byte, number: u64| Sample {
        stamp: Stamp { boot: boot(byte), millis: number * 60_000 },
        sequence: number,
        readings: readings(number),
    };
    let lived = Lived {
        anchors: vec![Anchor { stamp: row(1, 2).stamp, time: Time(1_750_000_000) }],
        rows: vec![row(1, 1), row(1, 2), row(2, 3), row(2, 4)],
        truth: vec![],
    };
    let (batch, content) = batch_of(&lived, 0, 4);
    take(&mut table, (peer(ROBOT), None), (&batch, 0), &content, NOW).unwrap();
    let waiting =
        |table: &MemoryTable| table.ordered().iter().filter(|(_, _, position)| position.is_none()).count();
    assert_eq!(waiting(&table), 2, "the boot may get an anchor");
    let next = Lived { rows: vec![row(3, 1)], anchors: vec![], truth: vec![] };
    let (mut batch, content) = batch_of(&next, 0, 1);
    batch.history = HistoryId::from_bytes([9; 8]);
    take(&mut table, (peer(ROBOT), None), (&batch, 0), &content, NOW).unwrap();
    assert_eq!((waiting(&table), table.rows.len()), (1, 5));
}
