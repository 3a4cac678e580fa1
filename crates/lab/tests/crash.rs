//! Repeated power cuts while files are being added, and the orderly end of a daemon.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use dcache::{PeerId, Signature, Statement};
use ipfs::store::{Store as BlockStore, StoreConfig};
use ipfs::unixfs::walk_complete;
use lab::daemon::{Robot, STOP_LIMIT};
use lab::{Error, Lab, LineClient, Result, TestSigner, ask, or_skip, wait_until};
use store::{Opened, Store};

const SOON: Duration = Duration::from_secs(60);
const CRASHES: u32 = 20;
const FILES_A_CRASH: u32 = 3;
/// Parts of the messages that a robot logs when its own data was lost. None may appear when only the process is killed.
const ALARMS: [&str; 9] = [
    "set aside",
    "lacks blocks",
    "not whole",
    "are missing",
    "are lost",
    "damaged",
    "is no record",
    "panicked",
    "a task failed",
];

fn io<T>(what: &str, result: std::io::Result<T>) -> Result<T> {
    result.map_err(|source| Error::Io { what: what.to_owned(), source })
}

fn peer(robot: &Robot) -> Result<PeerId> {
    Ok(robot.peer_id()?.parse().unwrap())
}

/// Returns a number that looks random and is the same in every run (Knuth's multiplicative hashing).
fn scattered(number: u32) -> u32 {
    number.wrapping_add(1).wrapping_mul(2_654_435_761) >> 8
}

fn file_name(number: u32) -> String {
    format!("log-{number:02}.bag")
}

/// Returns a content of between a few bytes and a few chunks.
fn content(number: u32) -> Vec<u8> {
    let length = scattered(number) % 900_000;
    (0..length).map(|at| scattered(at ^ number.wrapping_mul(77_777)).to_le_bytes()[0]).collect()
}

type SignedStatement = (Statement, Signature);

/// Returns the statements of `signer` that `robot` holds.
fn statements_of(robot: &Robot, signer: PeerId) -> Result<Vec<SignedStatement>> {
    let answer = ask(robot.host(), robot.host().address())?;
    Ok(answer.records.into_iter().filter(|(_, signature)| signature.signer == signer).collect())
}

/// Returns the first statement of `told` that is missing among `held`. A statement is missing if neither it nor a later
/// one about the same item is there.
fn first_lost<'a>(told: &'a [SignedStatement], held: &[SignedStatement]) -> Option<&'a SignedStatement> {
    let order = |(statement, signature): &SignedStatement| (signature.sequence, statement.digest());
    told.iter().find(|told| {
        let same = |held: &&SignedStatement| held.0.item() == told.0.item() && order(held) >= order(told);
        !held.iter().any(|held| same(&held))
    })
}

/// Returns the statements of `signer` on the disk of a killed robot. They are read from a copy, because reading could
/// repair the store, and before a restart, because peers could send them again.
fn statements_on_disk(robot: &Robot, signer: PeerId) -> Result<Vec<SignedStatement>> {
    let copy = robot.host().folder().join("copy.redb");
    io("copying the store", fs::copy(robot.data_folder().join("records.redb"), &copy))?;
    let (store, opened) = Store::open(&copy).unwrap();
    assert!(matches!(opened, Opened::Existing { .. }), "the store needs repair: {opened:?}");
    let loaded = store.load().unwrap();
    assert_eq!(loaded.broken, 0, "{:?}", loaded.reasons);
    let own = loaded.records.into_iter().filter(|record| record.signer() == signer);
    Ok(own.map(|record| (record.statement().clone(), *record.signature())).collect())
}

/// Lets the robot work until crash number `number`. Every third crash comes when the robot has just taken a file, while
/// it writes the file's records. The others come after a time that is unrelated to the robot's work.
fn await_moment(robot: &mut Robot, number: u32) -> Result {
    if number.is_multiple_of(3) {
        let taken = |line: &str| line.contains("a file was taken into the swarm");
        return robot.running()?.wait_for_line(taken, SOON).map(drop);
    }
    thread::sleep(Duration::from_millis(50 + u64::from(scattered(number) % 850)));
    Ok(())
}

fn assert_no_alarm(robot: &mut Robot) -> Result {
    let lines = robot.running()?.lines();
    let alarm = lines.iter().find(|line| ALARMS.iter().any(|alarm| line.contains(alarm)));
    assert_eq!(alarm, None);
    Ok(())
}

/// Returns the number of files that both robots keep.
fn safe_with_both(robot: &Robot) -> usize {
    let report = robot.cli(&["report", "--json"]).unwrap_or_default();
    let files = report["files"].as_array().cloned().unwrap_or_default();
    let is_safe = |file: &&serde_json::Value| {
        matches!(file["state"].as_str(), Some("kept" | "safe"))
            && file["holders"].as_array().is_some_and(|all| all.len() == 2)
    };
    files.iter().filter(is_safe).count()
}

/// Opens the blocks of a robot that does not run, checks that every pinned block is there, and returns the number of
/// pins.
fn complete_pins(data_folder: &Path) -> usize {
    let directory = data_folder.join("ipfs");
    let config = StoreConfig { directory, max_bytes: u64::MAX, min_free_bytes: 0 };
    let (store, report) = BlockStore::open(config).unwrap();
    assert!(report.pins_set_aside.is_none() && !report.pins_missing, "{report:?}");
    assert!(report.incomplete_pins.is_empty(), "{report:?}");
    let pins = store.pins().unwrap();
    for pin in &pins {
        walk_complete(&store, &pin.root, None).unwrap();
    }
    pins.len()
}

#[test]
fn twenty_crashes_while_files_are_added_lose_nothing() -> Result {
    let Some(lab) = or_skip("crashes", Lab::new("crash")) else {
        return Ok(());
    };
    // Files settle at once, so that the robot takes some between any two crashes.
    let mut a = Robot::new(lab.host("a")?, "settle_seconds = 0")?;
    a.restart()?;
    let b = Robot::start(&lab, "b")?;
    let me = peer(&a)?;
    let (mut told_most, begun) = (0, Instant::now());
    for crash in 0..CRASHES {
        for number in (0..FILES_A_CRASH).map(|n| crash * FILES_A_CRASH + n) {
            a.share(&file_name(number), &content(number))?;
        }
        await_moment(&mut a, crash)?;
        assert_no_alarm(&mut a)?;
        a.kill9()?;
        let told = statements_of(&b, me)?;
        let kept = statements_on_disk(&a, me)?;
        assert!(first_lost(&told, &kept).is_none(), "lost by crash {crash}: {:?}", first_lost(&told, &kept));
        told_most = told_most.max(told.len());
        a.restart()?;
        assert_eq!(peer(&a)?, me, "after crash {crash} the robot has another identity");
        let held = statements_of(&a, me)?;
        assert!(first_lost(&told, &held).is_none(), "forgotten after crash {crash}");
    }
    let files = usize::try_from(CRASHES * FILES_A_CRASH).unwrap();
    println!(
        "{CRASHES} crashes in {:.1} s; b had received up to {told_most} records",
        begun.elapsed().as_secs_f64()
    );
    assert!(told_most > files, "a was killed before it could publish anything, so this run tests nothing");
    wait_until(SOON, "all files safe on a and b", || {
        [&a, &b].iter().all(|robot| safe_with_both(robot) == files).then_some(())
    })?;
    println!("all {files} files safe on both after {:.1} s", begun.elapsed().as_secs_f64());
    assert_no_alarm(&mut a)?;
    assert!(a.terminate()?.success());
    assert_eq!(complete_pins(&a.data_folder()), files);
    Ok(())
}

#[test]
fn a_daemon_stops_in_time_and_saves_the_records_that_it_received_last() -> Result {
    let Some(lab) = or_skip("orderly end", Lab::new("stop")) else {
        return Ok(());
    };
    // There is no other robot, so that no peer can send the record again.
    let mut a = Robot::start(&lab, "a")?;
    let address = a.host().address();
    // A record of another signer may be written up to two seconds late, but it must be on the disk when the daemon has
    // ended.
    let (mut link, mut signer) = (LineClient::connect(a.host(), address)?, TestSigner::new([7; 32]));
    let record = signer.propose("share/notes", "just before")?;
    link.send(&signer.envelope(&record))?;
    let held = || ask(a.host(), address).ok().filter(|answer| answer.holds("just before"));
    wait_until(SOON, "the record on a", held)?;
    let begun = Instant::now();
    let status = a.terminate()?;
    println!("stopped after {:.2} s: {status}", begun.elapsed().as_secs_f64());
    assert_eq!(status.code(), Some(0));
    assert!(begun.elapsed() < STOP_LIMIT);
    a.restart()?;
    assert!(ask(a.host(), address)?.holds("just before"));
    assert!(a.terminate()?.success());
    Ok(())
}

#[test]
fn a_damaged_store_is_set_aside_and_its_records_come_back_from_peers() -> Result {
    let Some(lab) = or_skip("damaged store", Lab::new("rotten")) else {
        return Ok(());
    };
    let (mut a, b) = (Robot::start(&lab, "a")?, Robot::start(&lab, "b")?);
    let me = peer(&a)?;
    a.cli(&["propose", "share/notes", "said by a", "--for", "1h", "--json"])?;
    b.cli(&["propose", "share/notes", "said by b", "--for", "1h", "--json"])?;
    let both = |robot: &Robot| {
        let answer = ask(robot.host(), robot.host().address()).ok()?;
        (answer.holds("said by a") && answer.holds("said by b")).then_some(())
    };
    wait_until(SOON, "both notes on both", || both(&a).and_then(|()| both(&b)))?;
    a.kill9()?;
    io("rotting", fs::write(a.data_folder().join("records.redb"), vec![b'x'; 100_000]))?;
    a.restart()?;
    let told = |line: &str| line.contains("damaged and set aside") && line.contains("come back from peers");
    a.running()?.wait_for_line(told, SOON)?;
    wait_until(SOON, "both notes on a again", || both(&a))?;
    assert_eq!(peer(&a)?, me);
    assert_eq!(fs::read(a.data_folder().join("records.redb.broken-1")).unwrap(), vec![b'x'; 100_000]);
    // The robot lost its sequence number as well. Other peers must accept its next records nevertheless.
    a.cli(&["dismiss", "share/notes", "said by a", "--json"])?;
    a.cli(&["propose", "share/notes", "said after that", "--for", "1h", "--json"])?;
    wait_until(SOON, "a is heard by b", || {
        let answer = b.cli(&["summary", "share/notes", "--json"]).ok()?.to_string();
        (answer.contains("said after that") && !answer.contains("said by a")).then_some(())
    })
}
