//! What a daemon costs that has nothing to do.

use std::path::Path;
use std::thread;
use std::time::Duration;

use dcache::buckets;
use lab::daemon::Robot;
use lab::{Lab, Result, ask, counts_writes, wait_until};

/// How long daemons may take to learn of each other.
const KNOWN: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(3600);

/// Heading and decimals of each figure of a row.
const COLUMNS: [(&str, usize); 6] = [
    ("peers", 0),
    ("resident (MB)", 1),
    ("CPU time (s)", 2),
    ("CPU (%)", 2),
    ("sent (bytes)", 0),
    ("to disk (bytes/hour)", 0),
];

/// `None`: not known here.
type Figures = [Option<f64>; COLUMNS.len()];

/// What is measured.
#[derive(clap::Args)]
pub(crate) struct Idle {
    /// How many peers each daemon has
    #[arg(long, default_value_t = 10)]
    peers: u32,
    /// How long to measure, in seconds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// How long they have to come to rest once they know each other, in seconds
    #[arg(long, default_value_t = 30)]
    settle: u64,
}

pub(crate) fn idle(options: &Idle) -> Result {
    let Idle { peers, seconds, settle } = *options;
    let lab = Lab::new("idle")?;
    let is_disk = counts_writes(lab.folder())?;
    if !is_disk {
        warn_of_no_disk(lab.folder());
    }
    let mut robots = robots_that_know_each_other(&lab, peers)?;
    println!(
        "{} daemons that know each other; {settle} s to settle, then {seconds} s of measuring",
        robots.len()
    );
    // The passing of time is itself what is measured here, so these are no guesses.
    thread::sleep(Duration::from_secs(settle));
    let before = robots.iter_mut().map(usage).collect::<Result<Vec<_>>>()?;
    thread::sleep(Duration::from_secs(seconds));
    // All at the same time: asking for the peers would be measured.
    let after = robots.iter_mut().map(usage).collect::<Result<Vec<_>>>()?;
    let mut rows = Vec::new();
    println!("{:<10} {}", "host", COLUMNS.map(|(heading, _)| heading).join("  "));
    for ((robot, before), after) in robots.iter().zip(before).zip(after) {
        let row = figures(known_peers(robot)?, &before, &after, Duration::from_secs(seconds), is_disk);
        print_row(robot.host().name(), &row);
        rows.push(row);
    }
    print_row("mean", &summary(&rows, |figures| figures.iter().sum::<f64>() / figures.len() as f64));
    print_row("maximum", &summary(&rows, |figures| figures.iter().copied().fold(0.0, f64::max)));
    Ok(())
}

/// A false 0 is worse than no figure.
fn warn_of_no_disk(folder: &Path) {
    eprintln!(
        "lab: what is written to {} is not counted as written to a disk (is it in memory?), so nothing is said of that. \
         TMPDIR names another place.",
        folder.display()
    );
}

fn robots_that_know_each_other(lab: &Lab, peers: u32) -> Result<Vec<Robot>> {
    let start = |number| Robot::start(lab, &format!("robot{number}"));
    let robots = (0..=peers).map(start).collect::<Result<Vec<_>>>()?;
    for robot in &robots {
        let all_known = || (known_peers(robot).ok()? >= peers as usize).then_some(());
        wait_until(KNOWN, &format!("{peers} peers known to {}", robot.host().name()), all_known)?;
    }
    Ok(robots)
}

/// How many others a robot knows to be there, by their own records.
fn known_peers(robot: &Robot) -> Result<usize> {
    let answer = ask(robot.host(), robot.host().address())?;
    let present = answer.records.iter().filter(|(record, _)| record.item().bucket == buckets::PEER.path());
    Ok(present.count().saturating_sub(1))
}

struct Usage {
    resident_bytes: u64,
    cpu_time: Duration,
    sent_bytes: u64,
    written_bytes: u64,
}

fn usage(robot: &mut Robot) -> Result<Usage> {
    let sent_bytes = robot.host().traffic()?.sent;
    let process = robot.running()?;
    Ok(Usage {
        resident_bytes: process.resident_bytes()?,
        cpu_time: process.cpu_time()?,
        sent_bytes,
        written_bytes: process.written_bytes()?,
    })
}

fn figures(peers: usize, before: &Usage, after: &Usage, within: Duration, is_disk: bool) -> Figures {
    let cpu_time = (after.cpu_time - before.cpu_time).as_secs_f64();
    let written = (after.written_bytes - before.written_bytes) as f64;
    [
        Some(peers as f64),
        Some(after.resident_bytes as f64 / 1e6),
        Some(cpu_time),
        Some(100.0 * cpu_time / within.as_secs_f64()),
        Some((after.sent_bytes - before.sent_bytes) as f64),
        is_disk.then(|| written * HOUR.as_secs_f64() / within.as_secs_f64()),
    ]
}

/// One row of all, each figure from those of its column.
fn summary(rows: &[Figures], of: impl Fn(&[f64]) -> f64) -> Figures {
    std::array::from_fn(|column| {
        let figures: Option<Vec<f64>> = rows.iter().map(|row| row[column]).collect();
        figures.map(|figures| of(&figures))
    })
}

fn print_row(name: &str, figures: &Figures) {
    let cells = figures.iter().zip(COLUMNS).map(|(figure, (heading, decimals))| {
        let text = figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.decimals$}"));
        format!("{text:>width$}", width = heading.len())
    });
    println!("{name:<10} {}", cells.collect::<Vec<_>>().join("  "));
}
