//! Runs scenarios, and prints their figures.

mod figures;
mod usage;

use clap::Parser;
use sim::{Options, Report, Scenario, ScenarioError, run, run_seeds};
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Shortest time between two lines that tell how far a run is.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// Runs a scenario with real brains in virtual time and prints its figures. Exits with 0 if all runs passed, 1 if one
/// failed, 2 if the scenario cannot be run.
#[derive(Parser)]
struct Arguments {
    /// The seed, or the first of several seeds
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Run this many seeds, on all cores, and print a summary
    #[arg(long, value_name = "COUNT")]
    seeds: Option<u64>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
    /// Print every input and output of the node with this number
    #[arg(long, value_name = "NODE", conflicts_with = "seeds")]
    trace: Option<usize>,
    /// The name of a built-in scenario, or a file
    #[arg(default_value = "mixed")]
    scenario: String,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run_all(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("sim: {problem}");
            ExitCode::from(2)
        }
    }
}

fn run_all(arguments: &Arguments) -> Result<bool, ScenarioError> {
    let name = &arguments.scenario;
    let scenario = load(name)?;
    let before = usage::usage();
    let reports = match arguments.seeds {
        None => vec![run(name, &scenario, options(arguments))?],
        Some(count) => {
            let threads = std::thread::available_parallelism().map_or(1, usize::from);
            run_seeds(name, &scenario, (arguments.seed, count), threads, tell)?
        }
    };
    figures::print(&reports, &usage::usage().since(&before), arguments.json);
    Ok(reports.iter().all(|report| report.failures.is_empty()))
}

fn options(arguments: &Arguments) -> Options {
    let Arguments { seed, trace, .. } = *arguments;
    // A reader such as `head` closes the pipe early, which is no error.
    let tell = |line: &str| drop(writeln!(std::io::stdout(), "{line}"));
    Options { seed, trace, tell: Some(tell), progress: Some(progress), ..Options::default() }
}

/// Tells on the standard error how far a long run is.
fn progress(time: Duration) {
    static LAST: Mutex<Option<Instant>> = Mutex::new(None);
    let Ok(mut last) = LAST.lock() else { return };
    match *last {
        Some(told) if told.elapsed() >= TELL_EVERY => {
            eprintln!("simulated {} s", time.as_secs());
            *last = Some(Instant::now());
        }
        Some(_) => {}
        None => *last = Some(Instant::now()),
    }
}

fn load(name: &str) -> Result<Scenario, ScenarioError> {
    match Scenario::built_in(name) {
        Err(ScenarioError::Unknown(_)) if std::path::Path::new(name).exists() => {
            let text =
                std::fs::read_to_string(name).map_err(|error| ScenarioError::File(name.to_owned(), error))?;
            Scenario::read(name, &text)
        }
        other => other,
    }
}

fn tell(report: &Report) {
    let outcome = match report.converged_after {
        Some(after) if report.failures.is_empty() => format!("passed, all sets equal after {after:.2} s"),
        _ => "FAILED".to_owned(),
    };
    eprintln!("seed {}: {outcome}", report.seed);
}
