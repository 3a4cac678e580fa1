//! Tests of an open store on a disk that fails and then works again.

use crate::{Batch, Fault, Faults, OpenError, Opened, Store, WriteError};
use dcache::{Data, Item, Keypair, Kind, Record, Statement, Time, Validity};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tempfile::TempDir;

fn record(sequence: u64) -> Record {
    let item =
        Item { bucket: "share/files".parse().unwrap(), data: Data::new(&format!("cid{sequence}")).unwrap() };
    let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(1), 60)).unwrap();
    Record::sign(statement, &Keypair::from_seed([1; 32]), sequence, dcache::End::default())
}

/// Returns a batch of records with these numbers. If the range is large, writing the batch makes the file grow.
fn many(numbers: std::ops::Range<u64>) -> Batch {
    let sequence = numbers.clone().last();
    Batch { put: numbers.map(record).collect(), sequence, ..Batch::default() }
}

fn one(number: u64) -> Batch {
    many(number..number + 1)
}

fn put(store: &Store, service: &str, key: &str, value: &[u8]) -> Result<(), WriteError> {
    store.service_write(service, &[(key, Some(value))])
}

fn sequences(store: &Store) -> Vec<u64> {
    let loaded = store.load().unwrap();
    assert_eq!(loaded.broken, 0);
    let mut sequences: Vec<u64> = loaded.records.iter().map(|record| record.signature().sequence).collect();
    sequences.sort_unstable();
    sequences
}

struct Bench {
    folder: TempDir,
    file: PathBuf,
    faults: Faults,
}

impl Bench {
    /// Creates a folder for a store, on a disk that works at first.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        Self { folder, file, faults: Faults::default() }
    }

    fn open(&self) -> Result<(Store, Opened), OpenError> {
        Store::open_with_faults(&self.file, self.faults.clone())
    }

    /// Asserts that the closed store opens with these records, and that no file was set aside.
    fn assert_kept(&self, expected: &[u64]) {
        let (store, opened) = Store::open(&self.file).unwrap();
        assert_eq!(opened, Opened::Existing { records: expected.len() as u64 });
        assert_eq!(sequences(&store), expected);
        let files = std::fs::read_dir(self.folder.path()).unwrap().count();
        assert_eq!(files, 2, "the store and its lock");
    }
}

/// Writes `batch` on a disk that fails after `spared` operations, and then repairs the disk. Returns whether the write
/// failed.
fn fails_and_heals(fault: Fault, spared: usize, batch: &Batch) -> bool {
    let bench = Bench::new();
    let (store, _) = bench.open().unwrap();
    store.write(&one(1)).unwrap();
    bench.faults.begin(fault, spared);
    let result = store.write(batch);
    let mut both: Vec<u64> = vec![1];
    both.extend(batch.put.iter().map(|record| record.signature().sequence));
    if result.is_err() {
        // A read while the disk fails gives an error or the committed records.
        if let Ok(loaded) = store.load() {
            assert!([1, both.len()].contains(&loaded.records.len()), "{fault:?} after {spared}");
        }
    }
    bench.faults.end();
    let held = sequences(&store);
    match (&result, fault) {
        (Ok(()), _) => assert_eq!(held, both),
        (Err(_), Fault::Full) => assert_eq!(held, [1], "after {spared}"),
        (Err(_), _) => assert!(held == [1] || held == both, "{fault:?} after {spared}: {held:?}"),
    }
    store.write(batch).unwrap();
    assert_eq!(sequences(&store), both);
    assert_eq!(store.sequence().unwrap(), both.last().copied());
    drop(store);
    bench.assert_kept(&both);
    result.is_err()
}

#[test]
fn a_write_that_fails_at_any_operation_loses_nothing() {
    for fault in [Fault::Full, Fault::Unsynced, Fault::Dead] {
        for batch in [one(2), many(2..100)] {
            let failed = (0..10_000).take_while(|&spared| fails_and_heals(fault, spared, &batch)).count();
            assert!((1..10_000).contains(&failed), "{failed} writes failed with {fault:?}");
        }
    }
}

#[test]
fn a_full_disk_is_reported_each_time_until_there_is_room() {
    let bench = Bench::new();
    let (store, _) = bench.open().unwrap();
    bench.faults.begin(Fault::Full, 0);
    for _ in 0..5 {
        assert!(matches!(store.write(&one(1)), Err(WriteError::DiskFull)));
        assert!(matches!(put(&store, "logs", "a", b"1"), Err(WriteError::DiskFull)));
    }
    bench.faults.end();
    put(&store, "logs", "a", b"1").unwrap();
    store.write(&one(1)).unwrap();
    assert_eq!(store.service_get("logs", "a").unwrap().as_deref(), Some(&b"1"[..]));
    drop(store);
    bench.assert_kept(&[1]);
}

#[test]
fn a_read_recovers_from_a_disk_failure() {
    let bench = Bench::new();
    let (store, _) = bench.open().unwrap();
    store.write(&one(1)).unwrap();
    bench.faults.begin(Fault::Dead, 0);
    store.write(&one(2)).unwrap_err();
    for _ in 0..3 {
        store.load().unwrap_err();
        store.sequence().unwrap_err();
        store.service_all("logs").unwrap_err();
    }
    bench.faults.end();
    assert_eq!(store.sequence().unwrap(), Some(1));
    assert_eq!(sequences(&store), [1]);
}

#[test]
fn a_store_that_failed_is_still_locked() {
    let bench = Bench::new();
    let (store, _) = bench.open().unwrap();
    bench.faults.begin(Fault::Dead, 0);
    // The second call closes the database and cannot open it again.
    store.write(&one(1)).unwrap_err();
    store.write(&one(1)).unwrap_err();
    assert!(matches!(Store::open(&bench.file), Err(OpenError::InUse(_))));
    bench.faults.end();
    store.write(&one(1)).unwrap();
    drop(store);
    bench.assert_kept(&[1]);
}

#[test]
fn a_disk_that_fails_at_the_start_is_an_error_and_nothing_is_set_aside() {
    let bench = Bench::new();
    drop(bench.open().unwrap().0.write(&one(1)));
    let failed = (0..1000).take_while(|&spared| {
        bench.faults.begin(Fault::Dead, spared);
        let opened = bench.open();
        bench.faults.end();
        opened.is_err()
    });
    assert!((1..1000).contains(&failed.count()));
    bench.assert_kept(&[1]);
}

#[test]
fn reopening_neither_creates_a_store_nor_sets_one_aside() {
    for content in [None, Some(&b""[..]), Some(b"rubbish")] {
        let bench = Bench::new();
        let (store, _) = bench.open().unwrap();
        bench.faults.begin(Fault::Dead, 0);
        store.write(&one(1)).unwrap_err();
        bench.faults.end();
        match content {
            Some(content) => std::fs::write(&bench.file, content).unwrap(),
            None => std::fs::remove_file(&bench.file).unwrap(),
        }
        for _ in 0..2 {
            store.write(&one(1)).unwrap_err();
        }
        assert_eq!(std::fs::read(&bench.file).ok().as_deref(), content);
        assert_eq!(
            std::fs::read_dir(bench.folder.path()).unwrap().count(),
            1 + usize::from(content.is_some())
        );
    }
}

const WRITERS: u64 = 4;
const WRITES: u64 = 40;

/// Writes the keys of one writer, each in its own commit, and repeats each write until it succeeds.
fn write_all(store: &Store, writer: u64) {
    for number in 0..WRITES {
        let key = format!("{writer}-{number}");
        while put(store, "test", &key, &[1; 3000]).is_err() {
            std::thread::yield_now();
        }
    }
}

fn read_until(store: &Store, done: &AtomicBool) {
    let mut most = 0;
    while !done.load(Ordering::Acquire) {
        if let Ok(all) = store.service_all("test") {
            assert!(all.len() >= most, "a written value was lost");
            most = all.len();
        }
    }
}

/// Alternates between a failing and a working disk.
fn disturb(faults: &Faults, done: &AtomicBool) {
    for round in 0.. {
        if done.load(Ordering::Acquire) {
            return;
        }
        let fault = [Fault::Full, Fault::Unsynced, Fault::Dead][round % 3];
        faults.begin(fault, round % 17);
        std::thread::sleep(std::time::Duration::from_millis(1));
        faults.end();
        std::thread::sleep(std::time::Duration::from_millis(3));
    }
}

fn all_at_once(store: &Store, faults: &Faults) {
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| disturb(faults, &done));
        scope.spawn(|| read_until(store, &done));
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| scope.spawn(move || write_all(store, writer))).collect();
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Release);
    });
}

#[test]
fn several_threads_finish_on_a_disk_that_fails_repeatedly() {
    let bench = Bench::new();
    let (store, _) = bench.open().unwrap();
    all_at_once(&store, &bench.faults);
    bench.faults.end();
    assert_eq!(store.service_all("test").unwrap().len() as u64, WRITERS * WRITES);
    drop(store);
    assert_kept_services(&bench.file);
}

fn assert_kept_services(file: &Path) {
    let (store, opened) = Store::open(file).unwrap();
    assert_eq!(opened, Opened::Existing { records: 0 });
    assert_eq!(store.service_all("test").unwrap().len() as u64, WRITERS * WRITES);
}
