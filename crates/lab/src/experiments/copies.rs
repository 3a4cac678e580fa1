//! Copies of shared files after two of their holders failed together.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::daemon::Robot;
use crate::{Error, Lab, Result, wait_until};

/// Size of each file in bytes.
const FILE_BYTES: u32 = 1 << 20;
/// Maximum time until all files have their copies at the start.
const SPREAD: Duration = Duration::from_secs(180);
/// Time after which the presence of a robot that failed has ended.
const PRESENCE: Duration = Duration::from_secs(600);
/// Time, beyond the presence and the healing delay, in which the copies are made.
const MADE: Duration = Duration::from_secs(120);
/// Time between two looks at a report.
const EVERY: Duration = Duration::from_secs(1);

/// Measure how soon files have all their copies again after two holders failed
///
/// One robot shares files. When each has its target number of copies, that robot and another holder of the first file
/// are killed. The result is the time until each file has as many copies on the robots that are left.
#[derive(Debug, Clone, clap::Args)]
pub struct Copies {
    /// Number of robots
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(5..=100))]
    pub robots: u16,
    /// Number of files
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub files: u32,
    /// Number of copies of each file that the robots should keep
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(2..=4))]
    pub target: u16,
    /// Healing delay of the robots in seconds
    #[arg(long, default_value_t = 30)]
    pub heal_seconds: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Figures of the experiment.
#[derive(Debug, Clone)]
pub struct Copied {
    /// Time until all files had their copies at the start.
    pub at_start: Duration,
    /// Time from the failure until the first file had its copies again.
    pub first: Duration,
    /// Time from the failure until all files had their copies again.
    pub all: Duration,
    /// Number of files that lost a copy.
    pub hit: usize,
    /// Bytes that the robots that were left sent meanwhile, divided by the bytes of the lost copies.
    pub sent_per_lost: f64,
    /// Number of copies of each file in the end, on robots that run.
    pub copies: Vec<usize>,
}

/// Runs the experiment.
///
/// # Errors
/// When the lab or a program fails, or the copies are not made in time.
pub fn copies(lab: &Lab, options: &Copies) -> Result<Copied> {
    let (target, heal) = (usize::from(options.target), options.heal_seconds);
    let configuration = format!("logs.copies = {target}\nlogs.heal_seconds = {heal}\n");
    let start = |number| Robot::start_on(lab.host(&format!("r{number}"))?, &configuration);
    let mut robots = (0..options.robots).map(start).collect::<Result<Vec<_>>>()?;
    let names: Vec<String> = (0..options.files).map(|number| format!("run-{number}.bin")).collect();
    for (number, name) in (0u32..).zip(&names) {
        let content: Vec<u8> = (0..FILE_BYTES / 4).flat_map(|n| (n ^ number << 24).to_le_bytes()).collect();
        robots[0].share(name, &content)?;
    }
    let begun = Instant::now();
    let none = BTreeSet::new();
    let (first, last) = (&robots[1], &robots[usize::from(options.robots) - 1]);
    wait_until(SPREAD, "the copies at the start", || {
        let all =
            |robot| holders(robot, &names, &none).is_some_and(|all| all.iter().all(|of| of.len() >= target));
        (all(first) && all(last)).then_some(())
    })?;
    let at_start = begun.elapsed();
    let held = holders(first, &names, &none).unwrap_or_default();
    let uploader = robots[0].host().name().to_owned();
    let other = held.first().and_then(|of| of.iter().find(|holder| **holder != uploader)).cloned();
    let other = other.ok_or_else(|| Error::answer("the holders of a file", format!("{held:?}")))?;
    let failed = BTreeSet::from([uploader, other]);
    let lost: usize = held.iter().map(|of| of.intersection(&failed).count()).sum();
    let is_hit: Vec<bool> = held.iter().map(|of| !of.is_disjoint(&failed)).collect();
    for robot in robots.iter_mut().filter(|robot| failed.contains(robot.host().name())) {
        robot.kill9()?;
    }
    let killed = Instant::now();
    let left: Vec<&Robot> = robots.iter().filter(|robot| !failed.contains(robot.host().name())).collect();
    let sent = || left.iter().map(|robot| Ok(robot.host().traffic()?.sent)).sum::<Result<u64>>();
    let before = sent()?;
    let within = PRESENCE + Duration::from_secs(heal) + MADE;
    let (mut first_healed, mut copies) = (None, Vec::new());
    while killed.elapsed() < within {
        let held = holders(left[0], &names, &failed).unwrap_or_default();
        copies = held.iter().map(BTreeSet::len).collect();
        let is_whole = |number: &usize| *number >= target;
        if first_healed.is_none() && copies.iter().zip(&is_hit).any(|(number, hit)| *hit && is_whole(number))
        {
            first_healed = Some(killed.elapsed());
        }
        if !copies.is_empty() && copies.iter().all(is_whole) {
            let hit = is_hit.iter().filter(|hit| **hit).count();
            let sent_per_lost = (sent()? - before) as f64 / (lost as f64 * f64::from(FILE_BYTES));
            let (all, first) = (killed.elapsed(), first_healed.unwrap_or_default());
            return Ok(Copied { at_start, first, all, hit, sent_per_lost, copies });
        }
        // The passing of time is part of the experiment: copies are missing until the healing delay is over.
        thread::sleep(EVERY);
    }
    Err(Error::answer(format!("{target} copies of each file within {within:?}"), format!("{copies:?}")))
}

/// Returns the hosts that hold each file according to a report, without those that failed.
fn holders(robot: &Robot, names: &[String], failed: &BTreeSet<String>) -> Option<Vec<BTreeSet<String>>> {
    let report = robot.cli(&["report", "--json"]).ok()?;
    let files = report["files"].as_array()?;
    let of = |name: &String| -> BTreeSet<String> {
        let file = files.iter().find(|file| file["name"] == **name);
        let all = file.and_then(|file| file["holders"].as_array()).into_iter().flatten();
        let named = all.filter_map(|holder| holder["hostname"].as_str().map(str::to_owned));
        named.filter(|name| !failed.contains(name)).collect()
    };
    Some(names.iter().map(of).collect())
}

impl Copied {
    /// Prints the figures for people.
    pub fn print(&self) {
        let Self { at_start, first, all, hit, sent_per_lost, copies } = self;
        println!("all files had their copies after     {:>7.1} s", at_start.as_secs_f64());
        println!("files that lost a copy               {hit:>5}");
        println!("the first had its copies again after {:>7.1} s", first.as_secs_f64());
        println!("all had their copies again after     {:>7.1} s", all.as_secs_f64());
        println!("bytes sent, for each byte of a lost copy {sent_per_lost:.3}");
        println!("copies on running robots in the end  {copies:?}");
    }

    /// Returns the figures as JSON.
    pub fn json(&self) -> Value {
        let Self { at_start, first, all, hit, sent_per_lost, copies } = self;
        json!({
            "at_start_seconds": at_start.as_secs_f64(), "first_seconds": first.as_secs_f64(),
            "all_seconds": all.as_secs_f64(), "files_hit": hit, "sent_per_lost": sent_per_lost, "copies": copies,
        })
    }
}
