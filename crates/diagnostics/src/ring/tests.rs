use super::*;
use crate::metrics::{CPU_UTILIZATION, NETWORK_SENT, TEMPERATURE};
use proptest::prelude::*;
use std::time::Duration;

/// A small geometry, so that tests go around all rings: two samples are a minute, three minutes are an hour.
pub(crate) const SMALL: Geometry = Geometry::new([
    Ring { slots: 5, rows: 2, group: Group { rows: 2, span: Duration::from_secs(20) } },
    Ring { slots: 7, rows: 2, group: Group { rows: 3, span: Duration::from_secs(60) } },
    Ring { slots: 3, rows: 2, group: Group { rows: usize::MAX, span: Duration::MAX } },
]);

/// A step in the life of a robot.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// A sample, ten seconds after the last one.
    Sample,
    /// A sample after a pause in which the daemon did not run.
    Later,
    /// The daemon stops and starts.
    Restart,
    /// The robot boots. The samples in memory are lost.
    Boot,
}

pub(crate) fn any_steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        20 => Just(Step::Sample),
        1 => Just(Step::Later),
        1 => Just(Step::Restart),
        1 => Just(Step::Boot),
    ];
    proptest::collection::vec(step, 0..120)
}

pub(crate) fn readings(sequence: u64) -> Readings {
    let mut readings = Readings::default();
    readings.add(&CPU_UTILIZATION, (sequence % 4) as f64 / 4.0);
    readings.add_for(&TEMPERATURE, "cpu", 40.0 + (sequence * 7 % 10) as f64);
    readings.add_for(&NETWORK_SENT, "wlan0", 1e10 + sequence as f64);
    readings
}

/// A robot whose history is on a disk, and the rows that should be in it.
pub(crate) struct Robot<D> {
    pub(crate) history: Option<History<D>>,
    pub(crate) stamp: Stamp,
    /// The samples of each page, in order.
    pub(crate) pages: Vec<Vec<Sample>>,
    pub(crate) waiting: Vec<Sample>,
}

impl<D: Disk> Robot<D> {
    pub(crate) fn new(disk: D) -> Self {
        let (history, found) = History::open(disk, SMALL).unwrap();
        assert_eq!(found, Found::default());
        let stamp = Stamp { boot: BootId::new([0; 16]), millis: 0 };
        Self { history: Some(history), stamp, pages: Vec::new(), waiting: Vec::new() }
    }

    pub(crate) fn sample(&mut self, seconds: u64) {
        self.stamp.millis += seconds * 1000;
        let history = self.history.as_mut().unwrap();
        let sequence = history.sequence() + 1;
        let sample = Sample { stamp: self.stamp, sequence, readings: readings(sequence) };
        if is_complete(SMALL.ring(Resolution::Samples).group, &self.waiting, &sample) {
            self.pages.push(std::mem::take(&mut self.waiting));
        }
        let time = Some(Time(1_700_000_000 + self.stamp.millis / 1000));
        history.add(self.stamp, sample.readings.clone(), time).unwrap();
        self.waiting.push(sample);
        if self.waiting.len() == 2 {
            self.pages.push(std::mem::take(&mut self.waiting));
        }
    }

    pub(crate) fn step(&mut self, step: Step, open: impl Fn(History<D>) -> History<D>) {
        match step {
            Step::Sample => self.sample(10),
            Step::Later => self.sample(90),
            Step::Restart => {
                self.history.as_mut().unwrap().flush().unwrap();
                let waiting = std::mem::take(&mut self.waiting);
                self.pages.extend(Some(waiting).filter(|waiting| !waiting.is_empty()));
                self.history = self.history.take().map(open);
            }
            Step::Boot => {
                self.waiting.clear();
                self.history = self.history.take().map(open);
                let next = self.stamp.boot.as_bytes()[0] + 1;
                self.stamp = Stamp { boot: BootId::new([next; 16]), millis: 0 };
            }
        }
    }
}

/// Returns the last pages that a ring must have. A page that is being written may have replaced the oldest one.
pub(crate) fn newest<T>(rows: &[T], kept: usize) -> &[T] {
    &rows[rows.len().saturating_sub(kept)..]
}

/// Returns the minutes and hours of these pages of samples.
pub(crate) fn coarser(pages: &[Vec<Sample>]) -> (Vec<Sample>, Vec<Sample>) {
    let minutes: Vec<Sample> = pages.iter().filter_map(|page| summarized(page)).collect();
    let (mut hours, mut hour) = (Vec::new(), Vec::new());
    for minute in &minutes {
        if is_complete(SMALL.ring(Resolution::Minutes).group, &hour, minute) {
            hours.extend(summarized(&std::mem::take(&mut hour)));
        }
        hour.push(minute.clone());
    }
    (minutes, hours)
}

/// Returns whether the rows are nearly the same: a page has values with the precision of a 32-bit float.
pub(crate) fn is_like(one: &Sample, other: &Sample) -> bool {
    let is_near = |one: f64, other: f64| (one - other).abs() <= one.abs() * 1e-6;
    let values = |row: &Sample| row.readings.iter().map(|reading| reading.value).collect::<Vec<_>>();
    let series = |row: &Sample| row.readings.iter().map(|reading| reading.series.clone()).collect::<Vec<_>>();
    (one.stamp, one.sequence, series(one)) == (other.stamp, other.sequence, series(other))
        && values(one).into_iter().zip(values(other)).all(|(one, other)| is_near(one, other))
}

/// Checks that `rows` end with the rows that must be there, each once and in order.
pub(crate) fn assert_ends_with(rows: &[Sample], expected: &[Sample]) {
    let ends = newest(rows, expected.len());
    assert!(
        ends.len() == expected.len() && ends.iter().zip(expected).all(|(one, other)| is_like(one, other)),
        "{rows:?}\nmust end with\n{expected:?}"
    );
    assert!(rows.windows(2).all(|pair| pair[0].sequence < pair[1].sequence), "duplicates, or a wrong order");
}

fn reopened(history: History<Vec<u8>>) -> History<Vec<u8>> {
    let (history, found) = History::open(history.disk, SMALL).unwrap();
    assert_eq!(found.damaged, 0);
    history
}

proptest! {
    #[test]
    fn the_history_has_the_last_rows_of_each_resolution(steps in any_steps()) {
        let mut robot = Robot::new(Vec::new());
        for step in steps {
            robot.step(step, reopened);
        }
        let history = robot.history.unwrap();
        let rows = |resolution| history.rows(resolution, 0, usize::MAX).unwrap();
        let (minutes, hours) = coarser(&robot.pages);
        let samples: Vec<Sample> = newest(&robot.pages, 5).iter().flatten().chain(&robot.waiting).cloned().collect();
        assert_ends_with(&rows(Resolution::Samples), &samples);
        assert_ends_with(&rows(Resolution::Minutes), newest(&minutes, 7 * 2));
        assert_ends_with(&rows(Resolution::Hours), newest(&hours, 3 * 2));
        prop_assert_eq!(rows(Resolution::Samples).len(), samples.len());
        prop_assert!(rows(Resolution::Minutes).len() <= 7 * 2 + 1);
    }
}

#[test]
fn rows_are_read_in_parts() {
    let mut robot = Robot::new(Vec::new());
    (0..9).for_each(|_| robot.sample(10));
    let history = robot.history.unwrap();
    let read = |after, most| -> Vec<u64> {
        let rows = history.rows(Resolution::Samples, after, most).unwrap();
        rows.iter().map(|row| row.sequence).collect()
    };
    assert_eq!(read(0, 3), [1, 2, 3]);
    assert_eq!(read(7, 99), [8, 9]);
    assert!(read(9, 99).is_empty());
}

#[test]
fn parts_that_follow_each_other_have_all_rows_also_around_a_damaged_page() {
    let mut robot = Robot::new(Vec::new());
    (0..13).for_each(|_| robot.sample(10));
    let mut disk = robot.history.unwrap().into_disk();
    for damaged in [None, Some(0), Some(1), Some(2), Some(3), Some(4)] {
        if let Some(slot) = damaged {
            disk[slot * PAGE_BYTES + 50] ^= 1;
        }
        let (history, found) = History::open(disk.clone(), SMALL).unwrap();
        assert_eq!(found.damaged, u64::from(damaged.is_some()));
        let all = history.rows(Resolution::Samples, 0, usize::MAX).unwrap();
        let (mut after, mut read) = (0, Vec::new());
        loop {
            let part = history.rows(Resolution::Samples, after, 3).unwrap();
            let Some(last) = part.last() else { break };
            assert!(part.len() <= 3 && last.sequence > after);
            after = last.sequence;
            read.extend(part);
        }
        assert_eq!(read, all);
        if let Some(slot) = damaged {
            disk[slot * PAGE_BYTES + 50] ^= 1;
        }
    }
}

#[test]
fn a_page_of_another_ring_or_slot_is_no_page_of_this_history() {
    let mut robot = Robot::new(Vec::new());
    (0..6).for_each(|_| robot.sample(10));
    let mut disk = robot.history.unwrap().disk;
    let first = disk[..PAGE_BYTES].to_vec();
    disk[4 * PAGE_BYTES..5 * PAGE_BYTES].copy_from_slice(&first);
    disk[PAGE_BYTES + 100] ^= 1;
    let (history, found) = History::open(disk, SMALL).unwrap();
    assert_eq!((found.pages, found.damaged), (3, 2), "two pages of samples and one of minutes are left");
    let rows = history.rows(Resolution::Samples, 0, 99).unwrap();
    assert_eq!(rows.iter().map(|row| row.sequence).collect::<Vec<_>>(), [1, 2, 5, 6]);
}

#[test]
fn the_time_of_a_boot_is_known_after_a_restart() {
    let mut robot = Robot::new(Vec::new());
    (0..4).for_each(|_| robot.sample(10));
    let (history, _) = History::open(robot.history.unwrap().disk, SMALL).unwrap();
    let placed = history.timeline().unwrap().place(Stamp { millis: 10_000, ..robot.stamp });
    assert_eq!(placed, timeline::Placed::At(Time(1_700_000_010)));
}
