//! Many robots on a delay network, each with an observer.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use dcache::{BucketError, BucketPath, buckets};
use swarm::protocol::{Batch, Request, StatementText, SwarmProtocol};

use crate::clock::now;
use crate::daemon::Robot;
use crate::proposal::proposal;
use crate::sightings::item_name;
use crate::{DelayNetwork, Error, Host, Lab, Observer, Result, Sightings, ask};

/// Name, in the shared tree, of the bucket of experiments. In the open swarm every peer may write to it, and no service
/// of the daemon reads it.
const EXPERIMENTS: &str = "lab";
/// Validity of the records in seconds, longer than any experiment.
const LIFETIME: u64 = 24 * 3600;

/// Robots with their observers. Dropping the fleet ends both.
#[derive(Debug)]
pub struct Fleet {
    // Declared before the robots, so that it is dropped first and the links end before the daemons.
    observers: Vec<Observer>,
    robots: Vec<Robot>,
    sightings: Arc<Sightings>,
}

/// Makes new hosts `PREFIX0`, `PREFIX1`, … on a delay network.
///
/// # Errors
/// When no address is left, or the operating system refuses.
pub fn hosts(lab: &Lab, network: &DelayNetwork, prefix: &str, number: usize) -> Result<Vec<Host>> {
    let host = |number| {
        let mut host = lab.lone_host(&format!("{prefix}{number}"))?;
        host.attach_tap(network)?;
        Ok(host)
    };
    (0..number).map(host).collect()
}

impl Fleet {
    /// Makes a robot on each of these hosts, without starting its daemon.
    ///
    /// # Errors
    /// When the programs cannot be built or the folders cannot be made.
    pub fn on(hosts: Vec<Host>) -> Result<Self> {
        Ok(Self::of(hosts.into_iter().map(|host| Robot::new(host, "")).collect::<Result<_>>()?))
    }

    /// Makes a fleet of these robots.
    pub fn of(robots: Vec<Robot>) -> Self {
        let sightings = Arc::new(Sightings::of(robots.len()));
        Self { observers: Vec::new(), robots, sightings }
    }

    /// Starts all daemons at once. Each is observed from the moment at which it listens: its presence records and all
    /// new records.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(&mut self) -> Result {
        self.start_by(|robots, launch| {
            robots.enumerate().try_for_each(|(number, robot)| launch(number, robot))
        })
    }

    /// Starts all daemons, and observes each like [`Self::start`]. `schedule` calls the function that it is given once for
    /// each robot, at the time at which the daemon is to start.
    ///
    /// # Errors
    /// When one of them does not start.
    pub(crate) fn start_by<T>(
        &mut self,
        schedule: impl FnOnce(
            std::slice::IterMut<'_, Robot>,
            &mut dyn FnMut(usize, &mut Robot) -> Result,
        ) -> Result<T>,
    ) -> Result<T> {
        let hosts: Vec<Host> = self.robots.iter().map(|robot| robot.host().clone()).collect();
        let sightings = &self.sightings;
        let (robots, observers) = (&mut self.robots, &mut self.observers);
        let scheduled = thread::scope(|scope| {
            let mut threads = Vec::new();
            let mut launch = |node: usize, robot: &mut Robot| -> Result {
                robot.launch()?;
                let host = hosts[node].clone();
                threads.push(scope.spawn(move || Observer::start(&host, node, &["/peer"], sightings)));
                Ok(())
            };
            let scheduled = schedule(robots.iter_mut(), &mut launch)?;
            let joined = threads.into_iter().map(|thread| thread.join());
            let all = joined.map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            *observers = all.collect::<Result<_>>()?;
            Ok::<T, Error>(scheduled)
        })?;
        self.robots.iter_mut().try_for_each(|robot| robot.wait_until_ready())?;
        Ok(scheduled)
    }

    /// Waits until each robot has the presence records of `peers` robots, including its own. Returns the time of the
    /// last.
    ///
    /// # Errors
    /// When a robot does not have them in time.
    pub fn wait_until_acquainted(&self, peers: usize, within: Duration) -> Result<Instant> {
        let known = self.sightings.wait_for_count("peer/", peers, Instant::now() + within);
        known.ok_or_else(|| Error::Deadline {
            what: format!("all robots know {peers} peers"),
            within,
            seen: format!("{:?}", self.sightings.counts("peer/")),
        })
    }

    /// Returns the robots, in the order of the hosts.
    pub fn robots(&self) -> &[Robot] {
        &self.robots
    }

    /// Returns the robots, to stop and start them.
    pub fn robots_mut(&mut self) -> &mut [Robot] {
        &mut self.robots
    }

    /// Returns the notes of the observers. The number of a node is its index among the hosts.
    pub fn sightings(&self) -> &Sightings {
        &self.sightings
    }

    /// Returns the number of missing items, summed over all daemons. Each daemon is asked for all its records.
    ///
    /// # Errors
    /// When a daemon does not answer.
    pub fn count_absent(&self, whats: &[String]) -> Result<usize> {
        let mut absent = 0;
        for host in self.robots.iter().map(Robot::host) {
            let answer = ask(host, host.address())?;
            let held: BTreeSet<String> =
                answer.records.iter().map(|(said, _)| item_name(said.item())).collect();
            absent += whats.iter().filter(|what| !held.contains(*what)).count();
        }
        Ok(absent)
    }

    /// Ends the observation. After that the lab has no links to the daemons.
    pub fn leave_alone(&mut self) {
        self.observers.clear();
    }
}

impl Robot {
    /// Lets the daemon sign and publish that `data` is in the bucket of experiments. Returns the time of the request
    /// and the name under which observers note the item.
    ///
    /// # Errors
    /// When the daemon does not publish it.
    pub fn say(&self, data: &str) -> Result<(Instant, String)> {
        let statement = proposal(experiments()?.as_str(), data, now(), LIFETIME)?;
        let name = item_name(statement.item());
        let what = format!("publishing {data} on {}", self.host().name());
        let statements = Batch::try_from(vec![StatementText(statement)]);
        let statements = statements.map_err(|error| Error::answer(&what, error.to_string()))?;
        let request = Request::Publish { statements, anyway: true };
        let mut client = self.control()?;
        let told = Instant::now();
        client.call::<SwarmProtocol>(&request).map_err(Error::control(what))?;
        Ok((told, name))
    }
}

/// Returns the bucket of experiments.
pub(crate) fn experiments() -> Result<BucketPath> {
    let failed = |error: BucketError| Error::answer("naming the bucket of experiments", error.to_string());
    buckets::SHARE.of(EXPERIMENTS).map_err(failed)
}
