//! The power is cut again and again while files are being added; and the orderly end.
#![expect(clippy::unwrap_used, reason = "what cannot be in a test fails it")]

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
/// What a robot logs when something of its own was lost: none of it may happen when only the process is killed.
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
    let id = robot.cli(&["ping", "--json"])?["daemon"]["peer"].as_str().unwrap_or_default().to_owned();
    Ok(id.parse().unwrap())
}

/// Numbers that look like chance and are the same in every run (Knuth's multiplicative hashing).
fn scattered(number: u32) -> u32 {
    number.wrapping_add(1).wrapping_mul(2_654_435_761) >> 8
}

fn file_name(number: u32) -> String {
    format!("log-{number:02}.bag")
}

/// From a few bytes to a few chunks.
fn content(number: u32) -> Vec<u8> {
    let length = scattered(number) % 900_000;
    (0..length).map(|at| scattered(at ^ number.wrapping_mul(77_777)).to_le_bytes()[0]).collect()
}

type SignedStatement = (Statement, Signature);

/// What `signer` said, as `robot` holds it.
fn statements_of(robot: &Robot, signer: PeerId) -> Result<Vec<SignedStatement>> {
    let answer = ask(robot.host(), robot.host().address())?;
    Ok(answer.records.into_iter().filter(|(_, signature)| signature.signer == signer).collect())
}

/// The first of `told` that is missing among `held`: neither it nor a later statement about the same item is there.
fn first_lost<'a>(told: &'a [SignedStatement], held: &[SignedStatement]) -> Option<&'a SignedStatement> {
    let order = |(statement, signature): &SignedStatement| (signature.sequence, statement.digest());
    told.iter().find(|told| {
        let same = |held: &&SignedStatement| held.0.item() == told.0.item() && order(held) >= order(told);
        !held.iter().any(|held| same(&held))
    })
}

/// What the killed robot has on its disk, read from a copy: reading must not mend anything for it, and its peers must
/// not have brought anything back yet.
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

/// Lets the robot work until the moment of crash number `number` has come: at some, when it has just taken a file, whose
/// records are being written then; at others, after a time that has to do with nothing, which is what a crash is.
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

/// How many files both robots keep.
fn safe_with_both(robot: &Robot) -> usize {
    let report = robot.cli(&["report", "--json"]).unwrap_or_default();
    let files = report["files"].as_array().cloned().unwrap_or_default();
    let is_safe = |file: &&serde_json::Value| {
        file["state"] == "safe" && file["holders"].as_array().is_some_and(|all| all.len() == 2)
    };
    files.iter().filter(is_safe).count()
}

/// Opens the blocks of a robot that does not run, and sees that every pinned block is there; gives the number of pins.
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
    // Files that settle at once, so that every life of the robot is long enough to take some.
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
        assert_eq!(peer(&a)?, me, "after crash {crash} it is another robot");
        let held = statements_of(&a, me)?;
        assert!(first_lost(&told, &held).is_none(), "forgotten after crash {crash}");
    }
    let files = usize::try_from(CRASHES * FILES_A_CRASH).unwrap();
    println!(
        "{CRASHES} crashes in {:.1} s; b had been told up to {told_most} records",
        begun.elapsed().as_secs_f64()
    );
    assert!(told_most > files, "a was killed before it could tell anything: this tests nothing");
    wait_until(SOON, "all files safe on a and b", || {
        [&a, &b].iter().all(|robot| safe_with_both(robot) == files).then_some(())
    })?;
    println!("all {files} files safe with both after {:.1} s", begun.elapsed().as_secs_f64());
    assert_no_alarm(&mut a)?;
    assert!(a.terminate()?.success());
    assert_eq!(complete_pins(&a.data_folder()), files);
    Ok(())
}

#[test]
fn told_to_stop_it_stops_in_time_and_saves_what_it_heard_last() -> Result {
    let Some(lab) = or_skip("orderly end", Lab::new("stop")) else {
        return Ok(());
    };
    // Alone, so that nobody can bring the record back.
    let mut a = Robot::start(&lab, "a")?;
    let address = a.host().address();
    // What others say may wait two seconds for the disk, but not for the next life.
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
fn a_rotten_store_is_set_aside_and_comes_back_from_the_others() -> Result {
    let Some(lab) = or_skip("rotten store", Lab::new("rotten")) else {
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
    // It lost its sequence number as well, and yet its next records count.
    a.cli(&["dismiss", "share/notes", "said by a", "--json"])?;
    a.cli(&["propose", "share/notes", "said after that", "--for", "1h", "--json"])?;
    wait_until(SOON, "a is heard by b", || {
        let answer = b.cli(&["summary", "share/notes", "--json"]).ok()?.to_string();
        (answer.contains("said after that") && !answer.contains("said by a")).then_some(())
    })
}
