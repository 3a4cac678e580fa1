//! What one attacker on the LAN does to robots: each attack in turn, on robots of its own, with the same figures for all.

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

/// How long all may take to know each other.
const ACQUAINTED: Duration = Duration::from_secs(300);
/// How long robots that know each other are left alone before an attack begins.
const SETTLED: Duration = Duration::from_secs(3);

/// Print what one attacker on the LAN does to robots: pings, memory, honest records and files while each attack runs
///
/// For each attack robots start afresh and get to know each other. Then the attack runs, and meanwhile every robot is pinged
/// over the line protocol twice a second; after a third of the time one robot says a record and another shares a file of
/// 100 kB. Printed are the worst ping, how many were not answered within 10 s, by how much the memory of a robot grew at most, how
/// soon the record and the file were at all robots, and what the robots used. Compare the programs of two commits by
/// DT_SWARM_BIN_DIR.
#[derive(Debug, Clone, clap::Args)]
pub struct Attack {
    /// How many robots
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(3..=100))]
    pub robots: u16,
    /// How long each attack lasts, in seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
    /// How long to wait for the honest record and the honest file, in seconds, also after the attack
    #[arg(long, default_value_t = 60)]
    pub patience: u64,
    /// Which attacks; `quiet` is none, for comparison
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Means::ALL)]
    pub only: Vec<Means>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Does the experiment. An attack that could not be measured is one of the outcomes.
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
    fleet.start()?;
    fleet.wait_until_acquainted(number, ACQUAINTED)?;
    let attacker = Attacker::new(lab, &fleet)?;
    let mut attack = means.prepare(lab, &attacker)?;
    // The passing of time is part of the experiment here and below, so these are no guesses.
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
            .map(|robot| scope.spawn(|| measure::ping_until(robot.host(), stop)))
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
