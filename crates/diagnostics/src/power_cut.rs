//! Tests of a power cut at every operation on the history of a recorded life: at most the page that is being written is
//! lost.
//!
//! A history works on a disk that records each operation. For every prefix of these operations, the test builds the
//! possible contents of the disk after a power cut, as the tests of the record store do, and opens the history. All
//! rows of the pages whose writing had returned must be there, once and in order, in all resolutions.
//!
//! `DT_SWARM_POWER_CUTS` multiplies the number of random subsets of unsynced sectors for each point.

use crate::ring::tests::{Robot, SMALL, Step, assert_ends_with, coarser, newest, readings};
use crate::ring::{Disk, History, Resolution};
use crate::sample::{BootId, Sample, Stamp};
use database::{Operation, SimulatedDisk, Survives};
use std::cell::RefCell;
use std::io;
use std::rc::Rc;

/// Number of random subsets for each point, if `DT_SWARM_POWER_CUTS` is not set.
const SUBSETS: u64 = 4;

/// A disk that records each operation. A clone is the same disk.
#[derive(Clone, Debug, Default)]
struct Recorded {
    bytes: Rc<RefCell<Vec<u8>>>,
    operations: Rc<RefCell<Vec<Operation>>>,
}

impl Recorded {
    fn note(&self, operation: Operation) {
        self.operations.borrow_mut().push(operation);
    }
}

impl Disk for Recorded {
    fn size(&self) -> io::Result<u64> {
        Disk::size(&*self.bytes.borrow())
    }

    fn allocate(&mut self, bytes: u64) -> io::Result<()> {
        self.note(Operation::SetLength(bytes));
        self.bytes.borrow_mut().allocate(bytes)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        Disk::read(&*self.bytes.borrow(), offset, out)
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.note(Operation::Write { offset, bytes: bytes.to_vec() });
        Disk::write(&mut *self.bytes.borrow_mut(), offset, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.note(Operation::Sync);
        Ok(())
    }
}

/// The pages whose writing had returned after a number of operations.
struct Promise {
    after: usize,
    pages: usize,
}

/// A recorded life: all operations, the pages of samples, and what was promised when.
struct Life {
    operations: Vec<Operation>,
    pages: Vec<Vec<Sample>>,
    promises: Vec<Promise>,
}

/// Records a life that goes around all rings, with restarts and boots.
fn life() -> Life {
    let disk = Recorded::default();
    // The file has its name before the history is opened.
    disk.note(Operation::SyncFolder);
    let mut robot = Robot::new(disk.clone());
    let mut promises = vec![Promise { after: disk.operations.borrow().len(), pages: 0 }];
    for number in 1..=90 {
        let step = match number {
            _ if number % 31 == 0 => Step::Boot,
            _ if number % 23 == 0 => Step::Restart,
            _ if number % 17 == 0 => Step::Later,
            _ => Step::Sample,
        };
        robot.step(step, |history| History::open(history.into_disk(), SMALL).unwrap().0);
        promises.push(Promise { after: disk.operations.borrow().len(), pages: robot.pages.len() });
    }
    let operations = disk.operations.borrow().clone();
    Life { operations, pages: robot.pages, promises }
}

/// Checks what is left of a life after a power cut, given the content of the disk.
fn check(life: &Life, cut: usize, image: Vec<u8>) {
    let kept =
        life.promises.iter().take_while(|promise| promise.after <= cut).last().map_or(0, |last| last.pages);
    let (mut history, found) = History::open(image, SMALL).unwrap();
    let rows = |history: &History<Vec<u8>>, resolution| history.rows(resolution, 0, usize::MAX).unwrap();
    // The page that was being written may be there, and has replaced the oldest one.
    let last = rows(&history, Resolution::Samples).last().map_or(0, |row| row.sequence);
    let is_there = |page: &&Vec<Sample>| page.last().is_some_and(|row| row.sequence <= last);
    let there = life.pages.iter().take_while(is_there).count();
    assert!((kept..=kept + 1).contains(&there), "cut {cut}: {there} pages of {kept}");
    assert!(found.damaged <= 1, "cut {cut}: {found:?}");
    assert!(history.sequence() >= last);
    check_rows(&history, &life.pages[..there]);
    // The history goes on.
    let sequence = history.sequence();
    let stamp = Stamp { boot: BootId::new([255; 16]), millis: 0 };
    for millis in [10_000, 20_000] {
        history.add(Stamp { millis, ..stamp }, readings(0), None).unwrap();
    }
    let (history, _) = History::open(history.into_disk(), SMALL).unwrap();
    assert_eq!((history.sequence(), rows(&history, Resolution::Samples).len() >= 2), (sequence + 2, true));
}

fn check_rows(history: &History<Vec<u8>>, pages: &[Vec<Sample>]) {
    let rows = |resolution| history.rows(resolution, 0, usize::MAX).unwrap();
    let (minutes, hours) = coarser(pages);
    let samples: Vec<Sample> = newest(pages, 4).iter().flatten().cloned().collect();
    assert_ends_with(&rows(Resolution::Samples), &samples);
    assert_ends_with(&rows(Resolution::Minutes), newest(&minutes, 6 * 2));
    assert_ends_with(&rows(Resolution::Hours), newest(&hours, 2 * 2));
}

#[test]
fn a_power_cut_at_any_operation_loses_at_most_the_page_that_is_being_written() {
    let life = life();
    assert!(life.pages.len() > 3 * 5, "all rings go around: {}", life.pages.len());
    let times = std::env::var("DT_SWARM_POWER_CUTS").map_or(1, |times| times.parse().unwrap());
    let mut disk = SimulatedDisk::new(None);
    for cut in 0..=life.operations.len() {
        if let Some(done) = cut.checked_sub(1) {
            disk.apply(&life.operations[done]);
        }
        let subsets = (0..SUBSETS * times).map(|subset| Survives::Some(subset << 32 | cut as u64));
        for survives in [Survives::Everything, Survives::Nothing].into_iter().chain(subsets) {
            if let Some(image) = disk.after_power_cut(survives) {
                check(&life, cut, image);
            }
        }
    }
}

#[test]
#[should_panic(expected = "pages of")]
fn the_test_detects_a_page_that_was_never_synced() {
    let mut life = life();
    // The syncs of the last pages do nothing.
    let from = life.operations.len() - 8;
    life.operations = life
        .operations
        .into_iter()
        .enumerate()
        .filter(|(at, operation)| *at < from || *operation != Operation::Sync)
        .map(|(_, operation)| operation)
        .collect();
    let mut disk = SimulatedDisk::new(None);
    life.operations.iter().for_each(|operation| disk.apply(operation));
    let image = disk.after_power_cut(Survives::Nothing).unwrap();
    let end = life.promises.last().unwrap().after;
    check(&life, end, image);
}

#[test]
#[should_panic(expected = "must end with")]
fn the_test_detects_a_page_in_the_wrong_slot() {
    let mut life = life();
    let page = SMALL.offset(Resolution::Samples, 1);
    for operation in &mut life.operations {
        if let Operation::Write { offset, .. } = operation
            && *offset == page
        {
            *offset = SMALL.offset(Resolution::Samples, 2);
        }
    }
    let mut disk = SimulatedDisk::new(None);
    life.operations.iter().for_each(|operation| disk.apply(operation));
    let image = disk.after_power_cut(Survives::Everything).unwrap();
    check(&life, life.operations.len(), image);
}
