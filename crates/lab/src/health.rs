//! Measures the cost of the service `diagnostics`: robots with it, beside robots without it in a lab of their own.

use std::thread;
use std::time::Duration;

use lab::daemon::Robot;
use lab::planted::without_machine_rules;
use lab::{Lab, Result, counts_writes, wait_until};

/// Maximum time for the daemons to learn of each other.
const KNOWN: Duration = Duration::from_secs(180);
/// Seconds in an hour.
const HOUR: f64 = 3600.0;
/// Headings of the columns.
const COLUMNS: [&str; 5] = [
    "CPU (% of a core)",
    "resident (MB)",
    "threads",
    "sent (bytes/robot-hour)",
    "to disk (bytes/robot-hour)",
];

/// Mean figures of a robot, in the order of [`COLUMNS`].
type Figures = [f64; COLUMNS.len()];

/// Options of the measurement of the cost of health.
#[derive(clap::Args)]
pub(crate) struct Health {
    /// Numbers of robots on a network
    #[arg(long, value_delimiter = ',', default_values_t = [1, 30])]
    robots: Vec<usize>,
    /// Duration of each measurement in seconds
    #[arg(long, default_value_t = 600, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Time between the moment when all daemons know each other and the measurement, in seconds
    #[arg(long, default_value_t = 60)]
    settle: u64,
}

/// The robots of a lab.
struct Class {
    robots: Vec<Robot>,
    // The hosts are on the network of the lab.
    _lab: Lab,
}

/// Sums of all robots at one moment.
struct Usage {
    cpu: Duration,
    resident: u64,
    threads: usize,
    sent: u64,
    written: u64,
}

pub(crate) fn health(options: &Health) -> Result {
    for number in &options.robots {
        let (on, off) =
            (Class::start("healthon", *number, true)?, Class::start("healthoff", *number, false)?);
        let is_disk = counts_writes(on._lab.folder())?;
        println!("{number} robots with diagnostics, and {number} without; {} s", options.seconds);
        // The passing of time is itself measured here, so these sleeps do not wait for an event.
        thread::sleep(Duration::from_secs(options.settle));
        let mut classes = [on, off];
        let before = measure(&mut classes)?;
        thread::sleep(Duration::from_secs(options.seconds));
        let after = measure(&mut classes)?;
        let mut rows =
            before.iter().zip(&after).map(|(before, after)| figures(before, after, *number, options.seconds));
        let (Some(with), Some(without)) = (rows.next(), rows.next()) else { continue };
        println!("{:<10} {}", "", COLUMNS.join("  "));
        print_row("with", &with, is_disk);
        print_row("without", &without, is_disk);
        print_row("cost", &std::array::from_fn(|column| with[column] - without[column]), is_disk);
    }
    Ok(())
}

impl Class {
    fn start(name: &str, number: usize, is_on: bool) -> Result<Self> {
        let lab = Lab::new(name)?;
        // Otherwise the load of this machine would change the health of all robots again and again.
        let configuration = format!("[diagnostics]\nenabled = {is_on}\n{}", without_machine_rules());
        let start = |number: usize| Robot::start_on(lab.host(&format!("robot{number}"))?, &configuration);
        let robots = (0..number).map(start).collect::<Result<Vec<_>>>()?;
        for robot in &robots {
            let all = || {
                let online = robot.cli(&["online", "--json"]).ok()?;
                (online["robots"].as_array()?.len() >= number).then_some(())
            };
            wait_until(KNOWN, &format!("{} lists {number} robots", robot.host().name()), all)?;
        }
        Ok(Self { robots, _lab: lab })
    }

    fn usage(&mut self) -> Result<Usage> {
        let mut sum = Usage { cpu: Duration::ZERO, resident: 0, threads: 0, sent: 0, written: 0 };
        for robot in &mut self.robots {
            sum.sent += robot.host().traffic()?.sent;
            let process = robot.running()?;
            sum.cpu += process.cpu_time()?;
            sum.resident += process.resident_bytes()?;
            sum.threads += process.threads_and_wake_ups()?.0;
            sum.written += process.written_bytes()?;
        }
        Ok(sum)
    }
}

fn measure(classes: &mut [Class]) -> Result<Vec<Usage>> {
    classes.iter_mut().map(Class::usage).collect()
}

fn figures(before: &Usage, after: &Usage, robots: usize, seconds: u64) -> Figures {
    let (robots, seconds) = (robots as f64, seconds as f64);
    let cpu = (after.cpu - before.cpu).as_secs_f64();
    [
        100.0 * cpu / seconds / robots,
        after.resident as f64 / 1e6 / robots,
        after.threads as f64 / robots,
        (after.sent - before.sent) as f64 * HOUR / seconds / robots,
        (after.written - before.written) as f64 * HOUR / seconds / robots,
    ]
}

fn print_row(name: &str, figures: &Figures, is_disk: bool) {
    let cells = figures.iter().zip(COLUMNS).enumerate().map(|(column, (figure, heading))| {
        let decimals = if column < 2 { 3 } else { 0 };
        let text = if column == 4 && !is_disk { "-".to_owned() } else { format!("{figure:.decimals$}") };
        format!("{text:>width$}", width = heading.len())
    });
    println!("{name:<10} {}", cells.collect::<Vec<_>>().join("  "));
}
