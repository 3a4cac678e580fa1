//! Time until a new record is on all nodes, and the traffic and processor time without events, for our daemons and for
//! Serf.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::figures::{Distribution, Row, print_table};
use super::fraction::fraction;
use crate::load::{Load, Shares};
use crate::peers::{Serf, serf_available};
use crate::{Conditions, DelayNetwork, Error, Fleet, Host, Lab, Observer, Process, Result, Sightings, hosts};

/// Maximum time until all nodes know each other.
const ACQUAINTED: Duration = Duration::from_secs(300);
/// An event that is not on all nodes after this time counts as missed.
const MISSED: Duration = Duration::from_secs(30);

/// Measure how soon a new record is on all daemons, and the traffic of quiet times; optionally of Serf too
///
/// Starts daemons on a network with delay and loss. The first figure is the time until all daemons know each other. The
/// next figures are the times until a new record is on all daemons: for 50 % and 90 % of the records, and for the
/// slowest record. Then comes the number of records that were not on all daemons within 30 s. The last figures are the
/// traffic and the processor time of a daemon in a quiet time, without events; the bytes include all headers. A record
/// is published by a request of a local client, and its time counts from that request. Each daemon is observed over its
/// own loopback.
#[derive(Debug, Clone, clap::Args)]
pub struct Spread {
    /// Number of daemons, each on its own host
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(2..=254))]
    pub nodes: u16,
    /// One-way delay of each packet in milliseconds
    #[arg(long, default_value_t = 50)]
    pub delay_ms: u64,
    /// Fraction of packets that a host loses, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = fraction)]
    pub loss: f64,
    /// Number of new records, published one after the other at different nodes
    #[arg(long, default_value_t = 50)]
    pub events: u16,
    /// Pause after each record in milliseconds
    #[arg(long, default_value_t = 500)]
    pub pause_ms: u64,
    /// Time to settle, before the events and before the quiet measurement, in seconds
    #[arg(long, default_value_t = 20)]
    pub settle_seconds: u64,
    /// Duration of the quiet measurement in seconds. A daemon renews its presence every 5 minutes: 300 seconds contain
    /// each renewal once, less time contains some or none of them
    #[arg(long, default_value_t = 120)]
    pub idle_seconds: u64,
    /// Measure Serf under the same conditions, after our daemons
    #[arg(long)]
    pub serf: bool,
    /// Measure only Serf
    #[arg(long, conflicts_with = "serf")]
    pub only_serf: bool,
    /// Seed of the random losses
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// A program that spreads events among its nodes.
trait System: Sized {
    const NAME: &'static str;

    /// Starts an observed node on each host.
    fn start(hosts: Vec<Host>) -> Result<Self>;
    /// Waits until all nodes know each other; returns the time at which the last one did.
    fn wait_until_acquainted(&self) -> Result<Instant>;
    /// Lets a node spread an event; returns the time of the request and the name under which observers note the event.
    fn tell(&self, node: usize, event: usize) -> Result<(Instant, String)>;
    fn sightings(&self) -> &Sightings;
    fn leave_alone(&mut self);
    fn hosts(&self) -> Vec<&Host>;
    fn processes(&mut self) -> Result<Vec<&Process>>;
}

/// Figures of one system.
#[derive(Debug, Clone)]
struct Figures {
    name: &'static str,
    acquainted: Duration,
    times: Distribution,
    missed: usize,
    /// For each missed event, the number of nodes that lacked it.
    lacking: Vec<usize>,
    idle_bytes: f64,
    /// The load of the processors while starting, during the events, and in the quiet time.
    load: [Shares; 3],
    /// Processor time, in milliseconds, that a node uses per second of the quiet time.
    idle_milliseconds: f64,
    /// Maximum time by which the lab's own network delivered a frame too late during the events.
    late: Duration,
    /// Number of packets that the lab's own network lost because it was too slow.
    dropped: u64,
}

/// Runs the experiment and prints its figures.
///
/// # Errors
/// When the lab or a program fails.
pub fn spread(options: &Spread) -> Result {
    let mut all = Vec::new();
    if !options.only_serf {
        all.push(measure::<Fleet>(options)?);
    }
    if options.serf || options.only_serf {
        serf_available()?;
        all.push(measure::<Agents>(options)?);
    }
    if options.json {
        println!("{}", json(options, &all));
    } else {
        print(&all);
    }
    Ok(())
}

fn measure<S: System>(options: &Spread) -> Result<Figures> {
    let lab = Lab::new("spread")?;
    let conditions = Conditions { delay: Duration::from_millis(options.delay_ms), loss: options.loss };
    let network = lab.delay_network(conditions, options.seed)?;
    let hosts = hosts(&lab, &network, "h", options.nodes.into())?;
    let (load, begun) = (Load::now(&[])?, Instant::now());
    let mut system = S::start(hosts)?;
    let acquainted = system.wait_until_acquainted()?.saturating_duration_since(begun);
    let starting = Load::now(&system.processes()?)?.since(load);
    eprintln!("lab: {} {} nodes know each other after {acquainted:.1?}", options.nodes, S::NAME);
    settle(options);
    network.take_latest();
    let load = Load::now(&system.processes()?)?;
    let (times, lacking) = events(options, &system)?;
    let (during, late) = (Load::now(&system.processes()?)?.since(load), network.take_latest());
    system.leave_alone();
    settle(options);
    let load = Load::now(&system.processes()?)?;
    let (idle_bytes, seconds) = idle(options, &system)?;
    let idle = Load::now(&system.processes()?)?.since(load);
    let idle_milliseconds = idle.measured.as_secs_f64() * 1000.0 / f64::from(options.nodes) / seconds;
    let (name, missed, dropped) = (S::NAME, lacking.len(), dropped(&system, &network)?);
    let load = [starting, during, idle];
    Ok(Figures {
        name,
        acquainted,
        times,
        missed,
        lacking,
        idle_bytes,
        load,
        idle_milliseconds,
        late,
        dropped,
    })
}

/// Waits for the nodes to settle. The passing of time is part of the experiment, so this does not wait for an event.
fn settle(options: &Spread) {
    thread::sleep(Duration::from_secs(options.settle_seconds));
}

/// Returns the times of the events that reached all nodes, and for each missed event the number of nodes that lacked
/// it.
fn events(options: &Spread, system: &impl System) -> Result<(Distribution, Vec<usize>)> {
    let (mut times, mut lacking) = (Vec::new(), Vec::new());
    for event in 0..usize::from(options.events) {
        // The step 7 has no common factor with most numbers of nodes, so the events come from all nodes.
        let (told, what) = system.tell(event * 7 % usize::from(options.nodes), event)?;
        match system.sightings().wait_for(std::slice::from_ref(&what), told + MISSED) {
            Some(last) => times.push(last.saturating_duration_since(told)),
            None => lacking.push(system.sightings().lacking(&what)),
        }
        thread::sleep(Duration::from_millis(options.pause_ms));
    }
    Ok((times.into_iter().collect(), lacking))
}

/// Returns the bytes that a node sends per quiet minute, and the measured time in seconds.
fn idle(options: &Spread, system: &impl System) -> Result<(f64, f64)> {
    let (sent, begun) = (sent(system)?, Instant::now());
    thread::sleep(Duration::from_secs(options.idle_seconds));
    let (nodes, seconds) = (f64::from(options.nodes), begun.elapsed().as_secs_f64());
    let sent = self::sent(system)? - sent;
    Ok((sent as f64 / nodes / (seconds / 60.0), seconds))
}

fn sent(system: &impl System) -> Result<u64> {
    system.hosts().iter().map(|host| Ok(host.traffic()?.sent)).sum()
}

fn dropped(system: &impl System, network: &DelayNetwork) -> Result<u64> {
    let at_hosts: Result<u64> = system.hosts().iter().map(|host| Ok(host.traffic()?.dropped)).sum();
    Ok(at_hosts? + network.overflowed())
}

impl System for Fleet {
    const NAME: &'static str = "dt-swarm";

    fn start(hosts: Vec<Host>) -> Result<Self> {
        let mut fleet = Self::on(hosts)?;
        Self::start(&mut fleet)?;
        Ok(fleet)
    }

    fn wait_until_acquainted(&self) -> Result<Instant> {
        Self::wait_until_acquainted(self, self.robots().len(), ACQUAINTED)
    }

    fn tell(&self, node: usize, event: usize) -> Result<(Instant, String)> {
        self.robots()[node].say(&format!("event-{event}"))
    }

    fn sightings(&self) -> &Sightings {
        Self::sightings(self)
    }

    fn leave_alone(&mut self) {
        Self::leave_alone(self);
    }

    fn hosts(&self) -> Vec<&Host> {
        self.robots().iter().map(|robot| robot.host()).collect()
    }

    fn processes(&mut self) -> Result<Vec<&Process>> {
        self.robots_mut().iter_mut().map(|robot| robot.running().map(|process| &*process)).collect()
    }
}

/// A Serf agent on each host.
struct Agents {
    observers: Vec<Observer>,
    agents: Vec<Serf>,
    hosts: Vec<Host>,
    sightings: Arc<Sightings>,
}

impl System for Agents {
    const NAME: &'static str = "Serf";

    fn start(hosts: Vec<Host>) -> Result<Self> {
        let sightings = Arc::new(Sightings::of(hosts.len()));
        let first = hosts.first().map(Host::address);
        let launch = |(number, host)| Serf::launch(host, number, first.filter(|_| number > 0));
        let agents = hosts.iter().enumerate().map(launch).collect::<Result<Vec<_>>>()?;
        let observers = agents.iter().map(|agent| agent.observe(&sightings)).collect::<Result<_>>()?;
        Ok(Self { observers, agents, hosts, sightings })
    }

    fn wait_until_acquainted(&self) -> Result<Instant> {
        let known = self.sightings.wait_for_count("node-", self.agents.len(), Instant::now() + ACQUAINTED);
        let seen = || format!("{:?}", self.sightings.counts("node-"));
        let what = "all members know each other".to_owned();
        known.ok_or_else(|| Error::Deadline { what, within: ACQUAINTED, seen: seen() })
    }

    fn tell(&self, node: usize, event: usize) -> Result<(Instant, String)> {
        self.agents[node].send(event)
    }

    fn sightings(&self) -> &Sightings {
        &self.sightings
    }

    fn leave_alone(&mut self) {
        self.observers.clear();
    }

    fn hosts(&self) -> Vec<&Host> {
        self.hosts.iter().collect()
    }

    fn processes(&mut self) -> Result<Vec<&Process>> {
        Ok(self.agents.iter().map(Serf::process).collect())
    }
}

fn print(all: &[Figures]) {
    let mut headings: Vec<&str> = all.iter().map(|figures| figures.name).collect();
    let mut rows: Vec<Row> = all.first().map_or_else(Vec::new, |first| {
        first.rows().into_iter().map(|(what, _)| (what.to_owned(), Vec::new())).collect()
    });
    for (row, (_, columns)) in rows.iter_mut().enumerate() {
        columns.extend(all.iter().map(|figures| figures.rows()[row].1));
        if let [Some(ours), Some(theirs)] = columns[..] {
            columns.push((theirs != 0.0).then_some(ours / theirs));
        }
    }
    if headings.len() == 2 {
        headings.push("ratio");
    }
    print_table(&headings, &rows);
    for figures in all.iter().filter(|figures| figures.missed > 0) {
        println!("{}: nodes that lacked each missed event: {:?}", figures.name, figures.lacking);
    }
}

impl Figures {
    fn rows(&self) -> Vec<(&'static str, Option<f64>)> {
        let of = |share| self.times.share(share).map(|time| time.as_secs_f64());
        let [starting, during, idle] = self.load.map(|load| Some(100.0 * load.busy));
        let [_, others_during, others_idle] = self.load.map(|load| Some(100.0 * load.others));
        vec![
            ("all nodes know each other (s from the start)", Some(self.acquainted.as_secs_f64())),
            ("a new record on all nodes: median (s)", of(0.5)),
            ("90 % (s)", of(0.9)),
            ("worst (s)", of(1.0)),
            ("records not on all nodes within 30 s", Some(self.missed as f64)),
            ("bytes sent in a quiet minute, per node", Some(self.idle_bytes)),
            ("processor ms in a quiet second, per node", Some(self.idle_milliseconds)),
            ("machine busy while starting (%)", starting),
            ("machine busy during events (%)", during),
            ("of that by other processes (%)", others_during),
            ("machine busy when quiet (%)", idle),
            ("of that by other processes (%)", others_idle),
            ("delay of the lab during events, maximum (ms)", Some(self.late.as_secs_f64() * 1000.0)),
            ("packets lost because the lab was too slow", Some(self.dropped as f64)),
        ]
    }

    fn json(&self) -> Value {
        let [starting, during, idle] =
            self.load.map(|load| json!({ "machine_busy": load.busy, "with_other_work": load.others }));
        json!({
            "system": self.name,
            "all_know_all_seconds": self.acquainted.as_secs_f64(),
            "at_all_seconds": self.times.json(),
            "missed": self.missed,
            "lacking": self.lacking,
            "idle_bytes_per_node_and_minute": self.idle_bytes,
            "idle_processor_ms_per_node_and_second": self.idle_milliseconds,
            "processors": { "starting": starting, "events": during, "idle": idle },
            "network_late_ms": self.late.as_secs_f64() * 1000.0,
            "packets_lost_by_the_lab": self.dropped,
        })
    }
}

fn json(options: &Spread, all: &[Figures]) -> Value {
    let Spread { nodes, delay_ms, loss, events, settle_seconds, idle_seconds, seed, .. } = options;
    json!({
        "nodes": nodes, "delay_ms": delay_ms, "loss": loss, "events": events,
        "settle_seconds": settle_seconds, "idle_seconds": idle_seconds, "seed": seed,
        "systems": all.iter().map(Figures::json).collect::<Vec<_>>(),
    })
}
