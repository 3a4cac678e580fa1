//! Cost of many files: how long it takes until every robot lists all of them, and what an idle robot uses then.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::figures::print_table;
use crate::daemon::Robot;
use crate::{Error, Lab, Result, usage};

/// Time between two questions how many files a robot lists.
const AGAIN: Duration = Duration::from_secs(2);

/// Measure how long it takes until every robot lists many small files
///
/// Each robot shares a part of the files, the first one more than the others. Prints the time until each robot lists all
/// of them, the bytes on the network, and what each daemon uses while nothing changes any more.
#[derive(Debug, Clone, clap::Args)]
pub struct Catalog {
    /// Number of robots
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=50))]
    pub robots: u32,
    /// Number of files of all robots together
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub files: u32,
    /// Number of files of the first robot
    #[arg(long, default_value_t = 5000)]
    pub of_one: u32,
    /// Number of copies that the swarm should have of each file
    #[arg(long, default_value_t = 3)]
    pub copies: u32,
    /// Maximum time, in seconds, until all robots list all files
    #[arg(long, default_value_t = 1800)]
    pub limit: u64,
    /// Time, in seconds, after the last robot lists all files until the idle robots are measured
    #[arg(long, default_value_t = 120)]
    pub settle: u64,
    /// Duration of the measurement of the idle robots in seconds
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub idle: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Figures of one robot.
#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    /// Time until it lists all files.
    listed: Duration,
    /// Bytes that it sent until all robots list all files.
    sent: u64,
    /// Processor time of the daemon until then.
    cpu: Duration,
    /// Memory of the daemon when it is idle, in bytes.
    memory: u64,
    /// Processor time of the idle daemon in the measured time.
    idle_cpu: Duration,
    /// Bytes that it sent in the measured time.
    idle_sent: u64,
    /// Time until one page of `report` is shown.
    page: Duration,
}

/// Figures of the experiment.
#[derive(Debug, Clone)]
pub struct Catalogued {
    files: u32,
    idle: Duration,
    robots: Vec<Figures>,
}

/// Runs the experiment.
///
/// # Errors
/// When the lab or a program fails, or a robot does not list all files in time.
pub fn catalog(lab: &Lab, options: &Catalog) -> Result<Catalogued> {
    let mut robots = Vec::new();
    for number in 0..options.robots {
        let configuration = format!("[logs]\ncopies = {}\n", options.copies);
        let robot = Robot::new(lab.host(&format!("robot{number}"))?, &configuration)?;
        fill(&robot, number, options.share_of(number))?;
        robots.push(robot);
    }
    let begun = Instant::now();
    robots.iter_mut().try_for_each(Robot::launch)?;
    robots.iter_mut().try_for_each(Robot::wait_until_ready)?;
    let mut figures = vec![Figures::default(); robots.len()];
    wait_until_listed(&robots, options, begun, &mut figures)?;
    for (robot, figures) in robots.iter_mut().zip(&mut figures) {
        figures.sent = robot.host().traffic()?.sent;
        figures.cpu = usage::cpu_time(robot.running()?.pid())?;
    }
    // The passing of time is itself measured here, so these sleeps do not wait for an event.
    std::thread::sleep(Duration::from_secs(options.settle));
    let before = robots.iter_mut().map(used).collect::<Result<Vec<_>>>()?;
    std::thread::sleep(Duration::from_secs(options.idle));
    let after = robots.iter_mut().map(used).collect::<Result<Vec<_>>>()?;
    for ((figures, before), after) in figures.iter_mut().zip(before).zip(after) {
        (figures.idle_cpu, figures.idle_sent) = (after.0.saturating_sub(before.0), after.1 - before.1);
    }
    for (robot, figures) in robots.iter_mut().zip(&mut figures) {
        figures.memory = usage::resident_bytes(robot.running()?.pid())?;
        figures.page = page(robot, options.files / 2)?;
    }
    Ok(Catalogued { files: options.files, idle: Duration::from_secs(options.idle), robots: figures })
}

impl Catalog {
    /// Returns the number of files of a robot.
    fn share_of(&self, number: u32) -> u32 {
        let first = self.of_one.min(self.files);
        let (others, rest) = (self.robots - 1, self.files - first);
        match number {
            0 => first,
            number => rest / others + u32::from(number <= rest % others),
        }
    }
}

/// Writes small distinct files into the shared folder of a robot.
fn fill(robot: &Robot, number: u32, files: u32) -> Result {
    let folder = robot.shared_folder();
    let write = |file: u32| {
        let name = format!("robot{number:02}-run{file:05}.log");
        fs::write(folder.join(&name), format!("{name}\n").repeat(20))
    };
    (0..files).try_for_each(write).map_err(Error::io(format!("writing into {}", folder.display())))
}

/// Waits until each robot lists all files, and notes when. One robot is asked after the other, since each answer costs
/// processor time that the robots need. So the time of a robot is that at which it and all before it list all files.
fn wait_until_listed(robots: &[Robot], options: &Catalog, begun: Instant, figures: &mut [Figures]) -> Result {
    let limit = Duration::from_secs(options.limit);
    for (robot, figures) in robots.iter().zip(figures) {
        loop {
            let seen = listed(robot)?;
            figures.listed = begun.elapsed();
            if seen >= Some(u64::from(options.files)) {
                break;
            }
            if begun.elapsed() > limit {
                let what = format!("{} lists {} files", robot.host().name(), options.files);
                return Err(Error::Deadline { what, within: limit, seen: format!("{seen:?}") });
            }
            std::thread::sleep(AGAIN);
        }
    }
    Ok(())
}

/// Returns the number of files that a robot lists; `None` if it does not answer in time, since all robots of the lab share
/// one machine.
fn listed(robot: &Robot) -> Result<Option<u64>> {
    let answer = match robot.cli(&["report", "--limit", "1", "--json"]) {
        Err(Error::Deadline { .. }) => return Ok(None),
        answered => answered?,
    };
    let files = answer["shared_files"].as_u64();
    files.map(Some).ok_or_else(|| Error::answer("the number of files", answer.to_string()))
}

/// Returns the time until a page in the middle of the list is shown.
fn page(robot: &Robot, offset: u32) -> Result<Duration> {
    let begun = Instant::now();
    let answer = robot.cli(&["report", "--offset", &offset.to_string(), "--limit", "50", "--json"])?;
    let rows = answer["files"].as_array().map_or(0, Vec::len);
    match rows {
        0 => Err(Error::answer("a page of files", answer.to_string())),
        _ => Ok(begun.elapsed()),
    }
}

/// Returns the processor time of the daemon, and the bytes that its host sent.
fn used(robot: &mut Robot) -> Result<(Duration, u64)> {
    let sent = robot.host().traffic()?.sent;
    Ok((usage::cpu_time(robot.running()?.pid())?, sent))
}

impl Catalogued {
    fn rows(&self) -> [(&'static str, Vec<f64>); 7] {
        let of = |figure: fn(&Figures) -> f64| self.robots.iter().map(figure).collect();
        [
            ("time until all files are listed (s)", of(|robot| robot.listed.as_secs_f64())),
            ("sent until then (MB)", of(|robot| robot.sent as f64 / 1e6)),
            ("processor time until then (s)", of(|robot| robot.cpu.as_secs_f64())),
            ("memory of the idle daemon (MB)", of(|robot| robot.memory as f64 / 1e6)),
            ("processor time of the idle daemon (s)", of(|robot| robot.idle_cpu.as_secs_f64())),
            ("sent by the idle daemon (kB)", of(|robot| robot.idle_sent as f64 / 1e3)),
            ("time until a page is shown (s)", of(|robot| robot.page.as_secs_f64())),
        ]
    }

    /// Prints the figures: of the first robot, and the mean and the maximum of all.
    pub fn print(&self) {
        println!("{} files, {} robots, {} s idle", self.files, self.robots.len(), self.idle.as_secs());
        let rows = self.rows().map(|(what, figures)| {
            let first = figures.first().copied();
            let mean = figures.iter().sum::<f64>() / figures.len() as f64;
            let maximum = figures.iter().copied().fold(0.0, f64::max);
            (what.to_owned(), vec![first, Some(mean), Some(maximum)])
        });
        print_table(&["first", "mean", "maximum"], &rows);
    }

    /// Returns the figures by name.
    pub fn json(&self) -> Value {
        let robot = |robot: &Figures| {
            json!({
                "listed_seconds": robot.listed.as_secs_f64(),
                "sent_bytes": robot.sent,
                "cpu_seconds": robot.cpu.as_secs_f64(),
                "memory_bytes": robot.memory,
                "idle_cpu_seconds": robot.idle_cpu.as_secs_f64(),
                "idle_sent_bytes": robot.idle_sent,
                "page_seconds": robot.page.as_secs_f64(),
            })
        };
        json!({
            "files": self.files,
            "idle_seconds": self.idle.as_secs(),
            "robots": self.robots.iter().map(robot).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Options {
        #[command(flatten)]
        catalog: Catalog,
    }

    #[test]
    fn all_files_are_divided_among_the_robots() {
        for (robots, files, of_one) in [(20, 20_000, 5000), (3, 700, 600), (2, 5, 9), (4, 10, 3)] {
            let numbers = [("robots", robots), ("files", files), ("of-one", of_one)];
            let arguments = numbers.map(|(name, number): (_, u32)| format!("--{name}={number}"));
            let options = Options::parse_from(["lab".to_owned()].into_iter().chain(arguments)).catalog;
            let sum: u32 = (0..robots).map(|number| options.share_of(number)).sum();
            assert_eq!((sum, options.share_of(0)), (files, of_one.min(files)));
        }
    }
}
