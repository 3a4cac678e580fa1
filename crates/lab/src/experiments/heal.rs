//! How soon two halves that were cut off from each other are one again.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::figures::{Distribution, print_table};
use super::fraction::fraction;
use crate::{Conditions, Fleet, Lab, Result, hosts};

const ACQUAINTED: Duration = Duration::from_secs(120);
/// How long they have to come to rest before they are cut off.
const SETTLE: Duration = Duration::from_secs(5);

/// Print how soon all is at all after a swarm was cut into halves
///
/// Cuts a swarm into two halves (nobody loses carrier), lets both say things meanwhile, heals it, and prints how many seconds
/// later all is at all.
#[derive(Debug, Clone, clap::Args)]
pub struct Heal {
    /// How many daemons, each on a host of its own; those with even numbers are one half
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=254))]
    pub nodes: u16,
    /// How long the halves are apart, in seconds
    #[arg(long, default_value_t = 45)]
    pub partition_seconds: u64,
    /// How many records are said meanwhile, in turn on both sides and at different nodes
    #[arg(long, default_value_t = 40)]
    pub records: u16,
    /// How long each packet takes, one way, in milliseconds
    #[arg(long, default_value_t = 2)]
    pub delay_ms: u64,
    /// The fraction of packets that a host does not hear, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = fraction)]
    pub loss: f64,
    /// When to give up waiting after the healing, in seconds
    #[arg(long, default_value_t = 120)]
    pub within_seconds: u64,
    /// What the losses grow from
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What was seen.
#[derive(Debug, Clone)]
pub struct Healed {
    /// From the healing until all was at all; `None` when that was not so in time.
    pub all_on_all: Option<Duration>,
    /// From the healing until each record was at all, of those that came.
    pub times: Distribution,
    /// How many records lacked at how many nodes in the end, each place counted. By asking the daemons, so not because of an
    /// observer.
    pub absent: usize,
}

/// Does the experiment.
///
/// # Errors
/// When the lab or a program fails.
pub fn heal(lab: &Lab, options: &Heal) -> Result<Healed> {
    let conditions = Conditions { delay: Duration::from_millis(options.delay_ms), loss: options.loss };
    let network = lab.delay_network(conditions, options.seed)?;
    let mut fleet = Fleet::on(hosts(lab, &network, "h", options.nodes.into())?)?;
    fleet.start()?;
    fleet.wait_until_acquainted(options.nodes.into(), ACQUAINTED)?;
    // That time passes is part of the experiment here and below, so these are no guesses.
    thread::sleep(SETTLE);
    let odd: Vec<_> = fleet.robots().iter().skip(1).step_by(2).map(|robot| robot.host().address()).collect();
    network.set_groups(|host| u32::from(odd.contains(&host)));
    let said = say_for(options, &fleet)?;
    network.heal();
    judge(options, &fleet, &said, Instant::now())
}

/// Says the records at equal distances of the time of the partition, and returns at its end.
fn say_for(options: &Heal, fleet: &Fleet) -> Result<Vec<String>> {
    let (begun, whole) = (Instant::now(), Duration::from_secs(options.partition_seconds));
    let mut said = Vec::new();
    for number in 0..options.records {
        let due = whole.mul_f64(f64::from(number) / f64::from(options.records));
        thread::sleep(due.saturating_sub(begun.elapsed()));
        let node = node_of(usize::from(number), options.nodes.into());
        said.push(fleet.robots()[node].say(&format!("apart-{number}"))?.1);
    }
    thread::sleep(whole.saturating_sub(begun.elapsed()));
    Ok(said)
}

/// Where a record is said: in turn on both sides, and at all nodes of a side one after the other.
fn node_of(number: usize, nodes: usize) -> usize {
    let (side, place) = (number % 2, number / 2);
    let nodes_of_side = (nodes + 1 - side) / 2;
    2 * (place % nodes_of_side) + side
}

fn judge(options: &Heal, fleet: &Fleet, said: &[String], healed: Instant) -> Result<Healed> {
    let deadline = healed + Duration::from_secs(options.within_seconds);
    let since = |at: Instant| at.saturating_duration_since(healed);
    let all_on_all = fleet.sightings().wait_for(said, deadline).map(since);
    let each =
        said.iter().filter_map(|what| fleet.sightings().wait_for(std::slice::from_ref(what), deadline));
    let times = each.map(since).collect();
    Ok(Healed { all_on_all, times, absent: fleet.count_absent(said)? })
}

impl Healed {
    /// Prints the figures.
    pub fn print(&self) {
        let seconds = |time: Option<Duration>| vec![time.map(|time| time.as_secs_f64())];
        print_table(
            &["after healing"],
            &[
                ("all on all (s)".into(), seconds(self.all_on_all)),
                ("a record on all: median (s)".into(), seconds(self.times.share(0.5))),
                ("90 % (s)".into(), seconds(self.times.share(0.9))),
                ("worst of those that came (s)".into(), seconds(self.times.share(1.0))),
                ("lacking in the end".into(), vec![Some(self.absent as f64)]),
            ],
        );
    }

    /// The figures, by name.
    pub fn json(&self) -> Value {
        json!({
            "all_on_all_seconds": self.all_on_all.map(|time| time.as_secs_f64()),
            "record_on_all_seconds": self.times.json(),
            "lacking": self.absent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_said_everywhere_and_in_turn_on_both_sides() {
        assert_eq!((0..7).map(|number| node_of(number, 5)).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 1, 0]);
    }
}
