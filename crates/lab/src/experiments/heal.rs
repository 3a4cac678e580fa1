//! Time until two halves of a swarm agree again after a partition.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::figures::{Distribution, print_table};
use super::fraction::fraction;
use crate::{Conditions, Fleet, Lab, Result, hosts};

const ACQUAINTED: Duration = Duration::from_secs(120);
/// Time for the robots to settle before they are cut off from each other.
const SETTLE: Duration = Duration::from_secs(5);

/// Measure how soon all records are on all nodes after a partition into halves
///
/// Cuts a swarm into two halves (no host loses its carrier), publishes records in both, and heals the partition. The
/// result is the number of seconds after which all records are on all nodes.
#[derive(Debug, Clone, clap::Args)]
pub struct Heal {
    /// Number of daemons, each on its own host; the hosts with even numbers form one half
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=254))]
    pub nodes: u16,
    /// Duration of the partition in seconds
    #[arg(long, default_value_t = 45)]
    pub partition_seconds: u64,
    /// Number of records published during the partition, alternately in both halves and at different nodes
    #[arg(long, default_value_t = 40)]
    pub records: u16,
    /// One-way delay of each packet in milliseconds
    #[arg(long, default_value_t = 2)]
    pub delay_ms: u64,
    /// Fraction of packets that a host loses, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = fraction)]
    pub loss: f64,
    /// Maximum time to wait after the partition is healed, in seconds
    #[arg(long, default_value_t = 120)]
    pub within_seconds: u64,
    /// Seed of the random losses
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Figures of the experiment.
#[derive(Debug, Clone)]
pub struct Healed {
    /// Time from the end of the partition until all records were on all nodes; `None` if they were not in time.
    pub all_on_all: Option<Duration>,
    /// For each record that reached all nodes, the time from the end of the partition until then.
    pub times: Distribution,
    /// Number of missing records at the end, summed over all nodes. The daemons themselves are asked, so an observer
    /// cannot cause a missing record.
    pub absent: usize,
}

/// Runs the experiment.
///
/// # Errors
/// When the lab or a program fails.
pub fn heal(lab: &Lab, options: &Heal) -> Result<Healed> {
    let conditions = Conditions { delay: Duration::from_millis(options.delay_ms), loss: options.loss };
    let network = lab.delay_network(conditions, options.seed)?;
    let mut fleet = Fleet::on(hosts(lab, &network, "h", options.nodes.into())?)?;
    fleet.start()?;
    fleet.wait_until_acquainted(options.nodes.into(), ACQUAINTED)?;
    // The passing of time is part of the experiment here and below, so these sleeps do not wait for an event.
    thread::sleep(SETTLE);
    let odd: Vec<_> = fleet.robots().iter().skip(1).step_by(2).map(|robot| robot.host().address()).collect();
    network.set_groups(|host| u32::from(odd.contains(&host)));
    let said = say_for(options, &fleet)?;
    network.heal();
    judge(options, &fleet, &said, Instant::now())
}

/// Publishes the records at equal intervals during the partition, and returns at its end.
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

/// Returns the node that publishes a record: the sides alternate, and each side uses its nodes in turn.
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
                ("all records on all nodes (s)".into(), seconds(self.all_on_all)),
                ("one record on all nodes: median (s)".into(), seconds(self.times.share(0.5))),
                ("90 % (s)".into(), seconds(self.times.share(0.9))),
                ("worst of the records that arrived (s)".into(), seconds(self.times.share(1.0))),
                ("missing at the end".into(), vec![Some(self.absent as f64)]),
            ],
        );
    }

    /// Returns the figures by name.
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
    fn records_are_published_on_all_nodes_and_alternately_on_both_sides() {
        assert_eq!((0..7).map(|number| node_of(number, 5)).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 1, 0]);
    }
}
