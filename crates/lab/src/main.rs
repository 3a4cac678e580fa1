//! Measurements in the lab, by hand, and a peer for its tests.

mod share_v0;

use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::{Parser, Subcommand};
use lab::daemon::Robot;
use lab::{Lab, Result, ask, sweep_leftovers, wait_until};
use share_v0::{ShareV0, share_v0};

/// How long daemons may take to learn of each other.
const KNOWN: Duration = Duration::from_secs(60);

/// Real hosts in network namespaces on one machine. Needs root, or run it by tools/in-namespace.
/// The daemons are built as this program is: `cargo run --release -p lab -- idle` measures what users run.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the resident memory and the processor time of idle daemons
    Idle {
        /// How many peers each daemon has
        #[arg(long, default_value_t = 10)]
        peers: u32,
        /// How long to measure, in seconds
        #[arg(long, default_value_t = 300)]
        seconds: u64,
        /// How long they have to come to rest once they know each other, in seconds
        #[arg(long, default_value_t = 30)]
        settle: u64,
    },
    /// Remove what labs of killed processes left behind
    Sweep,
    /// Share files with CIDv0, which our daemon itself never makes, by way of a daemon on another host
    ShareV0(ShareV0),
}

fn main() -> ExitCode {
    let result = match Options::parse().command {
        Command::Idle { peers, seconds, settle } => idle(peers, seconds, settle).map_err(Into::into),
        Command::Sweep => {
            sweep_leftovers();
            Ok(())
        }
        Command::ShareV0(options) => share_v0(options),
    };
    if let Err(problem) = result {
        eprintln!("lab: {problem}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn idle(peers: u32, seconds: u64, settle: u64) -> Result {
    let lab = Lab::new("idle")?;
    let mut robots = (0..=peers)
        .map(|number| Robot::start(&lab, &format!("robot{number}")))
        .collect::<Result<Vec<_>>>()?;
    for robot in &robots {
        let all_known = || (known_peers(robot).ok()? >= peers as usize).then_some(());
        wait_until(KNOWN, &format!("{peers} peers known to {}", robot.host().name()), all_known)?;
    }
    println!(
        "{} daemons that know each other; {settle} s to settle, then {seconds} s of measuring",
        robots.len()
    );
    // The passing of time is itself what is measured here, so these are no guesses.
    thread::sleep(Duration::from_secs(settle));
    let before = robots.iter_mut().map(usage).collect::<Result<Vec<_>>>()?;
    thread::sleep(Duration::from_secs(seconds));
    println!(
        "{:<10} {:>6} {:>14} {:>14} {:>10} {:>14}",
        "host", "peers", "resident (MB)", "CPU time (s)", "CPU (%)", "sent (bytes)"
    );
    for (robot, before) in robots.iter_mut().zip(before) {
        print_row(robot, &before, seconds)?;
    }
    Ok(())
}

/// How many others a robot knows to be there, by their own word.
fn known_peers(robot: &Robot) -> Result<usize> {
    let answer = ask(robot.host(), robot.host().address())?;
    let present = answer.records.iter().filter(|(record, _)| record.item().bucket.as_str() == "peer");
    Ok(present.count().saturating_sub(1))
}

struct Usage {
    resident_bytes: u64,
    cpu_time: Duration,
    sent_bytes: u64,
}

fn usage(robot: &mut Robot) -> Result<Usage> {
    let sent_bytes = robot.host().traffic()?.sent;
    let process = robot.running()?;
    Ok(Usage { resident_bytes: process.resident_bytes()?, cpu_time: process.cpu_time()?, sent_bytes })
}

fn print_row(robot: &mut Robot, before: &Usage, seconds: u64) -> Result {
    let now = usage(robot)?;
    let cpu_time = (now.cpu_time - before.cpu_time).as_secs_f64();
    let percent = 100.0 * cpu_time / Duration::from_secs(seconds.max(1)).as_secs_f64();
    let megabytes = now.resident_bytes / 1_000_000;
    let (name, sent) = (robot.host().name().to_owned(), now.sent_bytes - before.sent_bytes);
    // Asked last, so that the question is not measured.
    let peers = known_peers(robot)?;
    println!("{name:<10} {peers:>6} {megabytes:>14} {cpu_time:>14.2} {percent:>10.2} {sent:>14}");
    Ok(())
}
