//! Test of kill -9 during writes: all data that was reported as written must be there.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use dcache::{Data, Item, Keypair, Kind, Record, Statement, Time, Validity};
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use store::{Batch, Opened, Store};

/// Environment variable with the path of a file. The test sets it and starts this program again. The new process writes
/// to the file until it is killed.
const FILE: &str = "STORE_KILL_TEST_FILE";
const RECORDS_A_BATCH: u64 = 5;

fn record(sequence: u64) -> Record {
    let item =
        Item { bucket: "share/files".parse().unwrap(), data: Data::new(&format!("cid{sequence}")).unwrap() };
    let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(1), 60)).unwrap();
    Record::sign(statement, &Keypair::from_seed([1; 32]), sequence, dcache::End::default())
}

/// Writes batches until the process is killed. This is not a test: it does nothing unless the variable [`FILE`] is set.
#[test]
fn writer() {
    let Ok(file) = std::env::var(FILE) else {
        return;
    };
    let (store, _) = Store::open(Path::new(&file)).unwrap();
    let mut sequence = store.sequence().unwrap().unwrap_or(0);
    loop {
        let next = sequence + RECORDS_A_BATCH;
        let batch = Batch {
            put: (sequence + 1..=next).map(record).collect(),
            sequence: Some(next),
            ..Batch::default()
        };
        store.write(&batch).unwrap();
        sequence = next;
        println!("written up to {sequence}");
    }
}

/// Starts the writer, and kills it once it has reported `batches` batches. Returns the last number that it reported.
fn write_and_kill(file: &Path, batches: usize) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writer", "--nocapture"])
        .env(FILE, file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // The test harness writes on the same line before the first number.
    let told = |line: String| line.split_once("written up to ")?.1.parse().ok();
    let mut numbers = lines.map_while(Result::ok).filter_map(told);
    let mut last = numbers.nth(batches - 1).unwrap();
    child.kill().unwrap();
    // Numbers that the writer reported before it was killed count as well.
    for number in numbers {
        last = number;
    }
    child.wait().unwrap();
    last
}

#[test]
fn all_data_written_before_a_kill_survives() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("records.redb");
    for round in 0..6 {
        let told = write_and_kill(&file, 1 + round * 7);
        let (store, opened) = Store::open(&file).unwrap();
        assert!(matches!(opened, Opened::Existing { .. }), "{opened:?}");
        let sequence = store.sequence().unwrap().unwrap();
        assert!(sequence >= told);
        let held: BTreeSet<u64> =
            store.load().unwrap().records.iter().map(|record| record.signature().sequence).collect();
        assert_eq!(held, (1..=sequence).collect(), "all batches are complete, and none is missing");
    }
}
