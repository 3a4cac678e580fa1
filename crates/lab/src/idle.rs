//! Measures the cost of an idle daemon, and of other programs that wait for peers in a similar way.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use dcache::buckets;
use lab::daemon::Robot;
use lab::peers::{Avahi, Syncthing, avahi_available, syncthing_available};
use lab::{Error, Host, Lab, Process, Result, Unavailable, ask, counts_writes, wait_until};

/// Maximum time for the daemons to learn of each other.
const KNOWN: Duration = Duration::from_secs(180);

const HOUR: Duration = Duration::from_secs(3600);

/// Size in bytes of each file that `--files` makes.
const FILE_BYTES: usize = 1000;

/// Heading and number of decimals of each column.
const COLUMNS: [(&str, usize); 8] = [
    ("peers", 0),
    ("resident (MB)", 1),
    ("CPU time (s)", 2),
    ("CPU (ms/s)", 2),
    ("wake-ups (1/s)", 1),
    ("threads", 0),
    ("sent (bytes)", 0),
    ("to disk (bytes/hour)", 0),
];

/// The figures of one row; `None` where a figure cannot be measured.
type Figures = [Option<f64>; COLUMNS.len()];

/// Options of the measurement of idle daemons.
#[derive(clap::Args)]
pub(crate) struct Idle {
    /// Number of peers of each daemon
    #[arg(long, default_value_t = 10)]
    peers: u32,
    /// Duration of the measurement in seconds
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Time between the moment when all daemons know each other and the measurement, in seconds
    #[arg(long, default_value_t = 30)]
    settle: u64,
    /// Number of files of 1 kB that the first daemon, and the first Syncthing, shares
    #[arg(long, default_value_t = 0)]
    files: u32,
    /// Number of daemons, besides the first, that keep copies of its files; the others have `keep_others = false`
    /// [default: all]
    #[arg(long)]
    keepers: Option<u32>,
    /// Number of Syncthing instances measured in the same run, if it is installed; they share one folder
    #[arg(long, default_value_t = 3)]
    syncthing: u32,
    /// Number of avahi-daemons measured in the same run, if it is installed [default: as many as daemons]
    #[arg(long)]
    avahi: Option<u32>,
}

/// A program that is measured.
trait Subject {
    fn host(&self) -> &Host;
    fn process(&mut self) -> Result<&Process>;
    /// Returns the number of other programs that it knows.
    fn peers(&self) -> Result<usize>;
}

impl Subject for Robot {
    fn host(&self) -> &Host {
        self.host()
    }

    fn process(&mut self) -> Result<&Process> {
        self.running().map(|process| &*process)
    }

    fn peers(&self) -> Result<usize> {
        known_peers(self)
    }
}

/// A program of another project, with the number of its peers.
struct Other<T> {
    program: T,
    peers: usize,
}

impl Subject for Other<Syncthing> {
    fn host(&self) -> &Host {
        self.program.host()
    }

    fn process(&mut self) -> Result<&Process> {
        Ok(self.program.process())
    }

    fn peers(&self) -> Result<usize> {
        Ok(self.peers)
    }
}

impl Subject for Other<Avahi> {
    fn host(&self) -> &Host {
        self.program.host()
    }

    fn process(&mut self) -> Result<&Process> {
        Ok(self.program.process())
    }

    fn peers(&self) -> Result<usize> {
        Ok(self.peers)
    }
}

/// All measured programs of one kind.
struct Group {
    name: &'static str,
    subjects: Vec<Box<dyn Subject>>,
}

pub(crate) fn idle(options: &Idle) -> Result {
    let Idle { peers, seconds, settle, .. } = *options;
    let lab = Lab::new("idle")?;
    let is_disk = counts_writes(lab.folder())?;
    if !is_disk {
        warn_of_no_disk(lab.folder());
    }
    let mut groups = vec![daemons(&lab, options)?];
    groups.extend(if_available("syncthing", syncthing_available(), || syncthings(&lab, options))?);
    groups.extend(if_available("avahi", avahi_available(), || avahis(&lab, options))?);
    println!(
        "{} daemons that know each other; {settle} s to settle, then {seconds} s of measurement",
        peers + 1
    );
    // The passing of time is itself measured here, so these sleeps do not wait for an event.
    thread::sleep(Duration::from_secs(settle));
    let before = groups.iter_mut().map(Group::usage).collect::<Result<Vec<_>>>()?;
    thread::sleep(Duration::from_secs(seconds));
    // The usage of all programs is read at once, before their peers: asking a daemon for its peers would be measured
    // too.
    let after = groups.iter_mut().map(Group::usage).collect::<Result<Vec<_>>>()?;
    println!("{:<22} {}", "host", COLUMNS.map(|(heading, _)| heading).join("  "));
    for ((group, before), after) in groups.iter().zip(before).zip(after) {
        group.print(&before, &after, Duration::from_secs(seconds), is_disk)?;
    }
    Ok(())
}

/// Warns that writes to the disk cannot be measured, because the figure 0 would be false.
fn warn_of_no_disk(folder: &Path) {
    eprintln!(
        "lab: writes to {} are not counted as writes to a disk (is it in memory?), so this figure is left out. \
         Set TMPDIR to a folder on a disk.",
        folder.display()
    );
}

/// Starts programs of another project, or prints why they are not measured.
fn if_available(
    name: &str,
    available: std::result::Result<(), Unavailable>,
    start: impl FnOnce() -> Result<Group>,
) -> Result<Option<Group>> {
    if let Err(reason) = available {
        eprintln!("lab: {name} is not measured: {reason}");
        return Ok(None);
    }
    let group = start()?;
    Ok((!group.subjects.is_empty()).then_some(group))
}

fn daemons(lab: &Lab, options: &Idle) -> Result<Group> {
    let Idle { peers, files, keepers, .. } = *options;
    let mut robots = Vec::new();
    for number in 0..=peers {
        let keeps = number == 0 || keepers.is_none_or(|keepers| number <= keepers);
        let configuration = if keeps { "" } else { "keep_others = false\n" };
        let mut robot = Robot::new(lab.host(&format!("robot{number}"))?, configuration)?;
        if number == 0 {
            fill(&robot.shared_folder(), files)?;
        }
        robot.restart()?;
        robots.push(robot);
    }
    for robot in &robots {
        let all_known = || (known_peers(robot).ok()? >= peers as usize).then_some(());
        wait_until(KNOWN, &format!("{} knows {peers} peers", robot.host().name()), all_known)?;
    }
    let subjects = robots.into_iter().map(|robot| Box::new(robot) as Box<dyn Subject>).collect();
    Ok(Group { name: "dt-swarm", subjects })
}

/// Returns the number of other robots whose own presence records a robot holds.
fn known_peers(robot: &Robot) -> Result<usize> {
    let answer = ask(robot.host(), robot.host().address())?;
    let present = answer.records.iter().filter(|(record, _)| record.item().bucket == buckets::PEER.path());
    Ok(present.count().saturating_sub(1))
}

fn syncthings(lab: &Lab, options: &Idle) -> Result<Group> {
    let host = |number| lab.host(&format!("syncthing{number}"));
    let hosts = (0..options.syncthing).map(host).collect::<Result<Vec<_>>>()?;
    if let Some(first) = hosts.first() {
        fill(&Syncthing::folder_on(first), options.files)?;
    }
    let peers = hosts.len().saturating_sub(1);
    let all = Syncthing::start_all(&hosts)?.into_iter();
    let subjects = all.map(|program| Box::new(Other { program, peers }) as Box<dyn Subject>).collect();
    Ok(Group { name: "syncthing", subjects })
}

fn avahis(lab: &Lab, options: &Idle) -> Result<Group> {
    let number = options.avahi.unwrap_or(options.peers + 1);
    let start = |number| Avahi::start(&lab.host(&format!("avahi{number}"))?);
    let all = (0..number).map(start).collect::<Result<Vec<_>>>()?;
    let peers = all.len().saturating_sub(1);
    let all = all.into_iter();
    let subjects = all.map(|program| Box::new(Other { program, peers }) as Box<dyn Subject>).collect();
    Ok(Group { name: "avahi", subjects })
}

/// Writes `files` files with different contents into a folder.
fn fill(folder: &Path, files: u32) -> Result {
    let write = |number: u32| {
        let mut content = number.to_le_bytes().repeat(FILE_BYTES / 4);
        content.truncate(FILE_BYTES);
        fs::write(folder.join(format!("file{number:05}.log")), content)
    };
    let filled = fs::create_dir_all(folder).and_then(|()| (0..files).try_for_each(write));
    filled.map_err(|source| Error::Io { what: format!("writing into {}", folder.display()), source })
}

struct Usage {
    resident_bytes: u64,
    cpu_time: Duration,
    threads: usize,
    wake_ups: u64,
    sent_bytes: u64,
    written_bytes: u64,
}

impl Group {
    fn usage(&mut self) -> Result<Vec<Usage>> {
        self.subjects.iter_mut().map(|subject| usage(subject.as_mut())).collect()
    }

    fn print(&self, before: &[Usage], after: &[Usage], within: Duration, is_disk: bool) -> Result {
        let mut rows = Vec::new();
        for ((subject, before), after) in self.subjects.iter().zip(before).zip(after) {
            let row = figures(subject.peers()?, before, after, within, is_disk);
            print_row(subject.host().name(), &row);
            rows.push(row);
        }
        let mean = |figures: &[f64]| figures.iter().sum::<f64>() / figures.len() as f64;
        print_row(&format!("{} mean", self.name), &summary(&rows, mean));
        let maximum = |figures: &[f64]| figures.iter().copied().fold(0.0, f64::max);
        print_row(&format!("{} maximum", self.name), &summary(&rows, maximum));
        Ok(())
    }
}

fn usage(subject: &mut dyn Subject) -> Result<Usage> {
    let sent_bytes = subject.host().traffic()?.sent;
    let process = subject.process()?;
    let (threads, wake_ups) = process.threads_and_wake_ups()?;
    Ok(Usage {
        resident_bytes: process.resident_bytes()?,
        cpu_time: process.cpu_time()?,
        threads,
        wake_ups,
        sent_bytes,
        written_bytes: process.written_bytes()?,
    })
}

fn figures(peers: usize, before: &Usage, after: &Usage, within: Duration, is_disk: bool) -> Figures {
    let cpu_time = (after.cpu_time - before.cpu_time).as_secs_f64();
    let written = (after.written_bytes - before.written_bytes) as f64;
    // A thread that ended is no longer counted, so the sum can become smaller.
    let wake_ups = after.wake_ups.saturating_sub(before.wake_ups) as f64;
    [
        Some(peers as f64),
        Some(after.resident_bytes as f64 / 1e6),
        Some(cpu_time),
        Some(1000.0 * cpu_time / within.as_secs_f64()),
        Some(wake_ups / within.as_secs_f64()),
        Some(after.threads as f64),
        Some((after.sent_bytes - before.sent_bytes) as f64),
        is_disk.then(|| written * HOUR.as_secs_f64() / within.as_secs_f64()),
    ]
}

/// Combines all rows into one: each figure is computed from those of its column.
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
    println!("{name:<22} {}", cells.collect::<Vec<_>>().join("  "));
}
