//! Time until each of many daemons that are started within a second lists all others, for our daemons and for Serf.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::figures::{Distribution, Row, print_table};
use super::fraction::fraction;
use crate::load::{Load, Shares};
use crate::peers::{Serf, avahi_available, serf_available};
use crate::{Conditions, Error, Fleet, Host, Lab, Observer, Result, Sightings, hosts};

use super::avahi_discovery::AvahiDiscovery;

/// Time in which the daemons are started, one after the other.
const STARTING: Duration = Duration::from_secs(1);
/// Time after which a node that does not list all others counts as failed.
const FAILED: Duration = Duration::from_secs(120);

/// Measure how soon daemons that are started within a second list each other; optionally of Serf and Avahi too
///
/// Starts daemons without configuration, one after the other within a second, on a network with delay and loss. The
/// result is the time after which each daemon holds the presence of all, counted from the start of the last daemon: the
/// median of the daemons, and the worst. Each daemon is observed over one link on its own loopback.
#[derive(Debug, Clone, clap::Args)]
pub struct Discover {
    /// Number of daemons, each on its own host
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=254))]
    pub nodes: u16,
    /// One-way delay of each packet in milliseconds
    #[arg(long, default_value_t = 50)]
    pub delay_ms: u64,
    /// Fraction of packets that a host loses, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = fraction)]
    pub loss: f64,
    /// Measure Serf under the same conditions, after our daemons
    #[arg(long)]
    pub serf: bool,
    /// Measure avahi-daemon under the same conditions, with a browser of the lab on each host
    #[arg(long)]
    pub avahi: bool,
    /// Seed of the random losses
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Print the figures as JSON
    #[arg(long)]
    pub json: bool,
}

/// Figures of the experiment, one for each system.
#[derive(Debug, Clone)]
pub struct Discovered {
    /// The figures of each system; our daemons come first.
    pub systems: Vec<Listing>,
}

/// Figures of one system.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Name of the system.
    pub name: &'static str,
    /// For each node that listed all nodes, the time from the start of the last node until then.
    pub times: Distribution,
    /// Number of nodes that did not list all nodes in time.
    pub failed: usize,
    /// Time from the start of the last node until all nodes accepted requests.
    pub ready: Duration,
    load: Shares,
    late: Duration,
}

/// The start of a system.
pub(super) struct Started {
    /// Time at which the last node was started.
    pub(super) last: Instant,
    /// Time at which all nodes accepted requests.
    pub(super) ready: Instant,
}

/// A program whose nodes list each other.
pub(super) trait Discovery: Sized {
    const NAME: &'static str;
    /// Beginning of the names under which the nodes of a list are noted.
    const BEGINNING: &'static str;

    /// Starts an observed node on each host, within [`STARTING`].
    fn start(hosts: Vec<Host>) -> Result<(Self, Started)>;
    fn sightings(&self) -> &Sightings;
}

/// Runs the experiment.
///
/// # Errors
/// When the lab or a program fails.
pub fn discover(options: &Discover) -> Result<Discovered> {
    if options.serf {
        serf_available()?;
    }
    if options.avahi {
        avahi_available()?;
    }
    let mut systems = vec![measure::<Fleet>(options)?];
    if options.serf {
        systems.push(measure::<Agents>(options)?);
    }
    if options.avahi {
        systems.push(measure::<AvahiDiscovery>(options)?);
    }
    Ok(Discovered { systems })
}

fn measure<D: Discovery>(options: &Discover) -> Result<Listing> {
    let lab = Lab::new("discover")?;
    let conditions = Conditions { delay: Duration::from_millis(options.delay_ms), loss: options.loss };
    let network = lab.delay_network(conditions, options.seed)?;
    let hosts = hosts(&lab, &network, "h", options.nodes.into())?;
    network.take_latest();
    let load = Load::now(&[])?;
    let (system, Started { last, ready }) = D::start(hosts)?;
    let nodes = usize::from(options.nodes);
    system.sightings().wait_for_count(D::BEGINNING, nodes, last + FAILED);
    let load = Load::now(&[])?.since(load);
    let listed = system.sightings().times_of_count(D::BEGINNING, nodes);
    let since = |at: Instant| at.saturating_duration_since(last);
    let failed = listed.iter().filter(|at| at.is_none()).count();
    let times = listed.into_iter().flatten().map(since).collect();
    Ok(Listing { name: D::NAME, times, failed, ready: since(ready), load, late: network.take_latest() })
}

/// Starts the nodes one after the other in equal steps within [`STARTING`]. Returns the time of the last start.
pub(super) fn start_in_steps<T>(
    nodes: impl ExactSizeIterator<Item = T>,
    mut start: impl FnMut(usize, T) -> Result,
) -> Result<Instant> {
    let (begun, count) = (Instant::now(), nodes.len().max(1));
    let mut last = begun;
    for (number, node) in nodes.enumerate() {
        // The start at a given time is part of the experiment, so this sleep does not wait for an event.
        thread::sleep(STARTING.mul_f64(number as f64 / count as f64).saturating_sub(begun.elapsed()));
        last = Instant::now();
        start(number, node)?;
    }
    Ok(last)
}

impl Discovery for Fleet {
    const NAME: &'static str = "dt-swarm";
    const BEGINNING: &'static str = "peer/";

    fn start(hosts: Vec<Host>) -> Result<(Self, Started)> {
        let mut fleet = Self::on(hosts)?;
        let last = Self::start_by(&mut fleet, |robots, launch| start_in_steps(robots, launch))?;
        Ok((fleet, Started { last, ready: Instant::now() }))
    }

    fn sightings(&self) -> &Sightings {
        Self::sightings(self)
    }
}

/// A Serf agent on each host.
struct Agents {
    // Declared before the agents, so that the links end first.
    _observers: Vec<Observer>,
    _agents: Vec<Serf>,
    sightings: Arc<Sightings>,
}

impl Discovery for Agents {
    const NAME: &'static str = "Serf";
    const BEGINNING: &'static str = "node-";

    fn start(hosts: Vec<Host>) -> Result<(Self, Started)> {
        let sightings = Arc::new(Sightings::of(hosts.len()));
        let first = hosts.first().map(Host::address);
        let mut agents = Vec::new();
        let last = start_in_steps(hosts.iter(), |number, host| {
            agents.push(Serf::launch(host, number, first.filter(|_| number > 0))?);
            Ok(())
        })?;
        let observers = observe_all(&agents, |agent| agent.observe(&sightings))?;
        let ready = Instant::now();
        Ok((Self { _observers: observers, _agents: agents, sightings }, Started { last, ready }))
    }

    fn sightings(&self) -> &Sightings {
        &self.sightings
    }
}

/// Observes all nodes at the same time.
fn observe_all<T: Sync>(
    nodes: &[T],
    observe: impl Fn(&T) -> Result<Observer> + Sync,
) -> Result<Vec<Observer>> {
    let observe = &observe;
    thread::scope(|scope| {
        let threads: Vec<_> = nodes.iter().map(|node| scope.spawn(move || observe(node))).collect();
        let joined = threads.into_iter().map(|thread| thread.join());
        joined.map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

impl Discovered {
    /// Prints the figures as a table.
    pub fn print(&self) {
        let headings: Vec<&str> = self.systems.iter().map(|system| system.name).collect();
        let names = Listing::NAMES.iter().enumerate();
        let rows: Vec<Row> = names
            .map(|(row, name)| {
                ((*name).to_owned(), self.systems.iter().map(|system| system.rows()[row]).collect())
            })
            .collect();
        print_table(&headings, &rows);
    }

    /// Returns the figures by name.
    pub fn json(&self, options: &Discover) -> Value {
        let Discover { nodes, delay_ms, loss, seed, .. } = options;
        let systems: Vec<Value> = self.systems.iter().map(Listing::json).collect();
        json!({ "nodes": nodes, "delay_ms": delay_ms, "loss": loss, "seed": seed, "systems": systems })
    }

    /// Returns the figures of our daemons.
    ///
    /// # Errors
    /// When they were not measured.
    pub fn ours(&self) -> Result<&Listing> {
        self.systems.first().ok_or_else(|| Error::answer("the experiment", "no system was measured"))
    }
}

impl Listing {
    const NAMES: [&'static str; 7] = [
        "a node lists all others, from the start of the last node: median (s)",
        "worst (s)",
        "nodes that do not list all others within 120 s",
        "all nodes accept requests (s)",
        "machine busy (%)",
        "of that by other processes, these nodes included (%)",
        "delay of the lab, maximum (ms)",
    ];

    fn rows(&self) -> [Option<f64>; 7] {
        let of = |share| self.times.share(share).map(|time| time.as_secs_f64());
        [
            of(0.5),
            of(1.0),
            Some(self.failed as f64),
            Some(self.ready.as_secs_f64()),
            Some(100.0 * self.load.busy),
            Some(100.0 * self.load.others),
            Some(self.late.as_secs_f64() * 1000.0),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "system": self.name,
            "lists_all_seconds": self.times.json(),
            "failed": self.failed,
            "ready_seconds": self.ready.as_secs_f64(),
            "machine_busy": self.load.busy,
            "network_late_ms": self.late.as_secs_f64() * 1000.0,
        })
    }
}
