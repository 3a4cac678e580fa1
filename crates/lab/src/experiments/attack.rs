//! The damage that one attacker on the LAN does to robots. Each attack runs on fresh robots and yields the same
//! figures.

mod attacker;
mod floods;
mod means;
mod measure;
mod outcome;
mod traps;

use std::thread;
use std::time::{Duration, Instant};

pub use means::Means;
pub use outcome::{Attacked, Outcome};

use crate::{Fleet, Host, Lab, Result};
use attacker::Attacker;
use measure::Watch;

/// Maximum time until all robots know each other.
const ACQUAINTED: Duration = Duration::from_secs(300);
/// Time for which robots that know each other are left alone before an attack begins.
const SETTLED: Duration = Duration::from_secs(3);

/// Measure the effect of one attacker on the LAN on robots: pings, memory, honest records and files during each attack
///
/// For each attack new robots start and get to know each other. During the attack every robot is pinged over the line
/// protocol twice a second. An idle program on the same host is pinged in the same way: its worst ping (`control`) shows
/// how long this machine keeps any program waiting. After a third of the time one robot publishes a record and another shares a file of 100 kB.
/// The table shows the worst ping, the number of pings not answered within 10 s, and the largest growth of a robot's
/// memory. It also shows the times until the record reached all robots, and the file those that should keep it, and the
/// robots' resource usage.
/// Set DT_SWARM_BIN_DIR to compare the programs of two commits.
#[derive(Debug, Clone, clap::Args)]
pub struct Attack {
    /// Number of robots
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(3..=100))]
    pub robots: u16,
    /// Duration of each attack in seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// Maximum time to wait for the honest record and the honest file, in seconds, also after the attack
    #[arg(long, default_value_t = 60)]
    pub patience: u64,
    /// Attacks to run; `quiet` is no attack, for comparison
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Means::ALL)]
    pub only: Vec<Means>,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Runs the experiment. An attack that could not be measured is one of the outcomes.
///
/// # Errors
/// When network namespaces are not available.
pub fn attack(options: &Attack) -> Result<Attacked> {
    let mut outcomes = Vec::new();
    for means in &options.only {
        let lab = Lab::new("attack")?;
        let outcome = one(&lab, options, *means).unwrap_or_else(|error| Outcome::failed(*means, &error));
        eprintln!("lab: {outcome}");
        outcomes.push(outcome);
    }
    Ok(Attacked(outcomes))
}

fn one(lab: &Lab, options: &Attack, means: Means) -> Result<Outcome> {
    let number = usize::from(options.robots);
    let hosts = (0..number).map(|number| lab.host(&format!("r{number}"))).collect::<Result<Vec<Host>>>()?;
    let mut fleet = Fleet::on(hosts)?;
    let records = means.records()?;
    fleet.robots().iter().try_for_each(|robot| robot.fill(&records))?;
    fleet.start()?;
    fleet.wait_until_acquainted(number, ACQUAINTED)?;
    let attacker = Attacker::new(lab, &fleet)?;
    let mut attack = means.prepare(lab, &attacker)?;
    // The passing of time is part of the experiment here and below, so these sleeps do not wait for an event.
    thread::sleep(SETTLED);
    let watch = Watch::begin(&mut fleet)?;
    let begun = Instant::now();
    let seconds = Duration::from_secs(options.seconds);
    let patience = Duration::from_secs(options.patience);
    let (pings, honest, grown, used, run) = thread::scope(|scope| {
        let stop = attacker.stop();
        let pings: Vec<_> = fleet
            .robots()
            .iter()
            .zip(0_u32..)
            .map(|(robot, place)| {
                let offset = measure::PING_EVERY * place / u32::from(options.robots);
                scope.spawn(move || measure::ping_until(robot.host(), offset, begun, stop))
            })
            .collect();
        let honest = scope.spawn(|| measure::honest(&fleet, begun + seconds / 3, patience));
        let running = scope.spawn(|| attack.run(&attacker));
        let grown = watch.follow(begun + seconds);
        let used = watch.end(begun);
        attacker.end();
        let pings = pings.into_iter().map(measure::joined).collect::<Result<Vec<_>>>();
        (pings, measure::joined(honest), grown, used, measure::joined(running))
    });
    let mut outcome = Outcome::new(means, &pings?, honest, grown, used?);
    outcome.note(run);
    outcome.note(attack.seen(begun));
    Ok(outcome)
}
