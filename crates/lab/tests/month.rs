//! A robot was offline for 30 days, lost its power 50 times, and has a clock in 1970. A laptop visits it for ten minutes, and
//! carries its history to the collector.

mod school;

use dcache::{Keypair, PeerId, Time};
use diagnostics::batch::SealingKey;
use diagnostics::batch::seal::{OpenError, open};
use diagnostics::metrics::{ALL, CUSTOM, UPTIME};
use diagnostics::ring::{Disk, Geometry, History};
use diagnostics::row_store::RowStore;
use diagnostics::sample::{BootId, Readings, Stamp};
use lab::daemon::Robot;
use lab::{Error, FakeClock, Lab, Link, Result, Unavailable, or_skip, wait_until};
use school::{SOON, School, has_text, show, wait_for};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Number of power cuts.
const CUTS: u64 = 50;
/// Minutes of the month.
const MINUTES: u64 = 30 * 24 * 60;
/// Seconds in the month.
const MONTH: i64 = MINUTES as i64 * 60;
/// Time of a visit of the laptop.
const VISIT: Duration = Duration::from_secs(600);
/// Number of bytes that a disk writes at once.
const SECTOR: usize = 512;
/// Samples in a minute.
const PAGE: u64 = 6;
/// Series of a local program with the number of the boot, and with that of the minute.
const BOOT: &str = "month_boot";
const MINUTE: &str = "month_minute";

/// The boot and the minute of a row.
type Place = (u64, u64);

/// A disk in memory that loses its power.
#[derive(Clone, Default)]
struct Card(Arc<Mutex<Content>>);

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    /// Whether the next write is the last one, of which only the first sector arrives.
    is_failing: bool,
    is_off: bool,
}

impl Card {
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for Card {
    fn size(&self) -> io::Result<u64> {
        Ok(self.content().bytes.len() as u64)
    }

    fn allocate(&mut self, bytes: u64) -> io::Result<()> {
        self.content().bytes.resize(bytes as usize, 0);
        Ok(())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        out.copy_from_slice(&self.content().bytes[offset as usize..][..out.len()]);
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut content = self.content();
        let arriving = match (content.is_off, content.is_failing) {
            (true, _) => 0,
            (_, true) => bytes.len().min(SECTOR),
            _ => bytes.len(),
        };
        content.is_off |= content.is_failing;
        content.bytes[offset as usize..][..arriving].copy_from_slice(&bytes[..arriving]);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the readings of a robot at a moment: all metrics, and those that tell the place in the month.
fn readings(boot: u64, sample: u64) -> Readings {
    let mut readings = Readings::default();
    for metric in ALL.iter().filter(|metric| **metric != &CUSTOM) {
        let value = ((sample * u64::from(metric.number)) % 997) as f64 / 8.0;
        match metric.label {
            None => readings.add(metric, value),
            Some(_) => ["a", "b"].iter().for_each(|label| readings.add_for(metric, label, value)),
        }
    }
    readings.add(&UPTIME, (sample * 10) as f64);
    readings.add_for(&CUSTOM, BOOT, boot as f64);
    readings.add_for(&CUSTOM, MINUTE, (sample / PAGE) as f64);
    readings
}

/// Writes the history of the month. The clock of the robot is right in the first boot only. Returns the file, and the boot
/// and the minute of each row that must not be lost.
fn month(start: u64) -> Result<(Vec<u8>, Vec<Place>)> {
    let disk = |source| Error::Io { what: "the history of a month".to_owned(), source };
    let (card, mut kept, mut left) = (Card::default(), Vec::new(), MINUTES);
    for boot in 1..=CUTS {
        let (mut history, found) = History::open(card.clone(), Geometry::ROBOT).map_err(disk)?;
        assert!(found.damaged <= 1, "{found:?}");
        // Boots of different lengths, and cuts at all places of a minute. In every second one, a page is being written.
        let mean = left / (CUTS - boot + 1);
        let minutes = if boot == CUTS { left } else { mean / 2 + boot * 7919 % mean };
        let is_writing = boot % 2 == 0;
        left -= minutes;
        let id = BootId::new([(boot * 151 % 251) as u8; 16]);
        let samples = minutes * PAGE + if is_writing { 0 } else { boot % PAGE };
        for sample in 0..samples {
            let millis = 20_000 + sample * 10_000;
            if is_writing && sample + 1 == samples {
                card.content().is_failing = true;
            }
            let time = (boot == 1).then_some(Time(start + millis / 1000));
            history.add(Stamp { boot: id, millis }, readings(boot, sample), time).map_err(disk)?;
        }
        (card.content().is_off, card.content().is_failing) = (false, false);
        kept.extend((0..minutes - u64::from(is_writing)).map(|minute| (boot, minute)));
    }
    let bytes = card.content().bytes.clone();
    Ok((bytes, kept))
}

fn available() -> Result<(Lab, FakeClock, FakeClock), Unavailable> {
    let clocks = (FakeClock::unset()?, FakeClock::ahead(MONTH)?);
    Ok((Lab::new("month")?, clocks.0, clocks.1))
}

/// Returns the identity of a robot.
fn identity(robot: &Robot) -> Result<Keypair> {
    let path = robot.data_folder().join("identity.key");
    let seed = fs::read(&path).map_err(|source| Error::Io { what: path.display().to_string(), source })?;
    let seed = seed.try_into().map_err(|_| wrong("a key", "another size"))?;
    Ok(Keypair::from_seed(seed))
}

fn wrong(what: &str, found: impl ToString) -> Error {
    Error::Answer { what: what.to_owned(), answer: found.to_string() }
}

/// Returns the CIDs of the batches that a robot announces.
fn batches(at: &Robot, robot: PeerId) -> Result<Vec<String>> {
    let items = at.cli(&["query", &format!("pri/{robot}/batches"), "--json"])?;
    let current = items["items"].as_array().cloned().unwrap_or_default().into_iter();
    let current = current.filter(|item| item["is_in_bucket"] == true);
    Ok(current.filter_map(|item| Some(item["data"].as_str()?.split(' ').nth(4)?.to_owned())).collect())
}

/// Tries to read a batch on the laptop, and to change it.
fn try_to_read(laptop: &Robot, collector: &Keypair, cid: &str) -> Result {
    let file = laptop.host().folder().join("batch");
    laptop.cli(&["get", cid, "--output", &file.to_string_lossy(), "--json"])?;
    let bytes = fs::read(&file).map_err(|source| Error::Io { what: "a batch".to_owned(), source })?;
    let own = identity(laptop)?;
    let opened =
        |me: PeerId, keys: &Keypair, bytes: &[u8]| open(bytes, (me, &SealingKey::of(keys)), |_| true);
    assert_eq!(opened(own.peer_id(), &own, &bytes), Err(OpenError::NotForUs));
    assert_eq!(opened(collector.peer_id(), &own, &bytes), Err(OpenError::Forged), "another key");
    let content = opened(collector.peer_id(), collector, &bytes).map_err(|error| wrong("a batch", error))?;
    let step = bytes.len() / 200;
    let mut unnoticed = 0;
    for place in (0..bytes.len()).step_by(step.max(1)) {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        unnoticed += usize::from(opened(collector.peer_id(), collector, &changed).is_ok());
    }
    println!(
        "a batch of {} bytes, with a content of {} bytes: the laptop cannot open it, and no change of {} was unnoticed",
        bytes.len(),
        content.len(),
        bytes.len() / step.max(1)
    );
    assert_eq!(unnoticed, 0);
    Ok(())
}

fn sent(links: &[&Link]) -> Result<u64> {
    links.iter().map(|link| link.traffic().map(|traffic| traffic.sent + traffic.received)).sum()
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_default()
}

fn peak(robot: &mut Robot) -> Result<f64> {
    Ok(robot.running()?.peak_resident_bytes()? as f64 / 1e6)
}

#[test]
fn a_month_with_fifty_power_cuts_and_a_clock_in_1970_arrives_after_ten_minutes() -> Result {
    let Some((lab, unset, later)) = or_skip("a month of history", available()) else { return Ok(()) };
    let mut school = School::new(lab, "")?;
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let robot = school.robot.peer_id()?.parse::<PeerId>().map_err(|error| wrong("a peer ID", error))?;
    let collector = identity(&school.collector)?;

    // The month passes: everybody else is a month later, and has met.
    for link in [&school.class, &school.office] {
        link.disconnect()?;
    }
    for robot in [&mut school.robot, &mut school.laptop, &mut school.collector] {
        robot.terminate()?;
    }
    let begun = Instant::now();
    let (history, kept) = month(start)?;
    println!(
        "{} rows of {CUTS} boots in {} bytes, after {:.1} s",
        kept.len(),
        history.len(),
        begun.elapsed().as_secs_f64()
    );
    let file = school.robot.data_folder().join("diagnostics.history");
    fs::write(&file, history).map_err(|source| Error::Io { what: file.display().to_string(), source })?;
    let School { robot: alone, laptop, collector: server, class, office, _lab } = school;
    let mut school = School {
        robot: alone.with_clock(Some(unset)),
        laptop: laptop.with_clock(Some(later.clone())),
        collector: server.with_clock(Some(later)),
        class,
        office,
        _lab,
    };
    school.office.reconnect()?;
    school.laptop.restart()?;
    school.collector.restart()?;
    let has_key = || (show(&school.laptop).ok()?["collectors"][0]["has_key"] == true).then_some(());
    wait_until(SOON, "the laptop meets the collector", has_key)?;
    school.office.disconnect()?;

    // The laptop visits the class.
    school.robot.restart()?;
    let (visit, before) = (Instant::now(), sent(&[&school.class])?);
    school.class.reconnect()?;
    let rows = kept.len() as u64;
    let sealed = wait_for(&school.robot, VISIT, "/own/rows", |sealed| sealed >= rows)?;
    println!("the robot has sealed after {:.0} s: {}", visit.elapsed().as_secs_f64(), sealed["own"]);
    let bytes = number(&sealed, "/own/bytes");
    wait_for(&school.laptop, VISIT.saturating_sub(visit.elapsed()), "/carried/bytes", |carried| {
        carried >= bytes
    })?;
    let taken = visit.elapsed();
    println!("the laptop has it after {:.0} s: {}", taken.as_secs_f64(), show(&school.laptop)?["carried"]);
    println!("{} bytes went over the link of the laptop", sent(&[&school.class])? - before);
    for cid in batches(&school.laptop, robot)?.iter().take(1) {
        try_to_read(&school.laptop, &collector, cid)?;
    }
    school.class.disconnect()?;
    println!(
        "highest memory: robot {:.1} MB, laptop {:.1} MB",
        peak(&mut school.robot)?,
        peak(&mut school.laptop)?
    );
    school.laptop.kill9()?;
    assert!(has_text(&school.robot.data_folder(), BOOT) && !has_text(&school.laptop.data_folder(), BOOT));

    // The laptop comes into the office.
    school.laptop.restart()?;
    let (visit, before) = (Instant::now(), sent(&[&school.office])?);
    school.office.reconnect()?;
    let stored =
        wait_for(&school.collector, VISIT.saturating_sub(taken), "/collected/rows", |stored| stored >= rows)?;
    println!(
        "the collector has it after {:.0} s more: {}",
        visit.elapsed().as_secs_f64(),
        stored["collected"]
    );
    println!("{} bytes went over the link of the laptop", sent(&[&school.office])? - before);
    println!("highest memory: collector {:.1} MB", peak(&mut school.collector)?);
    wait_for(&school.laptop, SOON, "/carried/batches", |batches| batches == 0)?;
    school.collector.terminate()?;
    check(&school.collector, robot, &kept)
}

/// Checks that the collector has each row of the month once, and in order.
fn check(collector: &Robot, robot: PeerId, kept: &[Place]) -> Result {
    let path = collector.data_folder().join("collected.redb");
    println!("{} bytes of disk at the collector", path.metadata().map(|file| file.len()).unwrap_or_default());
    let rows = RowStore::open(&path).map_err(|error| wrong("the rows", error))?;
    let totals = rows.totals().map_err(|error| wrong("the rows", error))?;
    let placed = rows.placed(robot, Time(0), usize::MAX).map_err(|error| wrong("the rows", error))?;
    let value = |readings: &Readings, name: &str| {
        let reading = readings.of(&CUSTOM).find(|reading| reading.series.label.as_str() == name)?;
        Some(reading.value as u64)
    };
    let found: Vec<Place> = placed
        .iter()
        .filter_map(|row| Some((value(&row.readings, BOOT)?, value(&row.readings, MINUTE)?)))
        .collect();
    let distinct: BTreeSet<&Place> = found.iter().collect();
    println!(
        "{totals:?}: {} rows of the month are placed, {} of them are distinct, {} are expected; {} have an exact time",
        found.len(),
        distinct.len(),
        kept.len(),
        placed.iter().filter(|row| row.is_exact).count()
    );
    assert_eq!(distinct.len(), found.len(), "rows are there twice");
    let missing = kept.iter().filter(|row| !distinct.contains(row)).count();
    assert!(missing == 0 && found.len() == kept.len(), "{missing} rows are missing");
    assert!(found.is_sorted(), "the order is wrong");
    Ok(())
}
