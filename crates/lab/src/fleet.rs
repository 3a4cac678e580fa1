//! Many robots on a delay network, each of them watched.

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

/// Name, in the shared tree, of the bucket of experiments: everybody's in the open swarm, and no service of the daemon looks
/// at it.
const EXPERIMENTS: &str = "lab";
/// For how long it holds, in seconds: longer than any experiment.
const LIFETIME: u64 = 24 * 3600;

/// Robots with their observers. Dropping it ends all.
#[derive(Debug)]
pub struct Fleet {
    // Before the robots, so that links end before daemons do.
    observers: Vec<Observer>,
    robots: Vec<Robot>,
    sightings: Arc<Sightings>,
}

/// New hosts `PREFIX0`, `PREFIX1`, … on a delay network.
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
    /// A robot on each of these hosts, none of them running.
    ///
    /// # Errors
    /// When the programs cannot be built or the folders not be made.
    pub fn on(hosts: Vec<Host>) -> Result<Self> {
        Ok(Self::of(hosts.into_iter().map(|host| Robot::new(host, "")).collect::<Result<_>>()?))
    }

    /// These robots.
    pub fn of(robots: Vec<Robot>) -> Self {
        let sightings = Arc::new(Sightings::of(robots.len()));
        Self { observers: Vec::new(), robots, sightings }
    }

    /// Starts all daemons at once, and observes each from as soon as it listens: its presence records, and what is new.
    ///
    /// # Errors
    /// When one of them does not start.
    pub fn start(&mut self) -> Result {
        self.robots.iter_mut().try_for_each(Robot::launch)?;
        let observe =
            |(node, robot): (usize, &Robot)| Observer::start(robot.host(), node, &["/peer"], &self.sightings);
        let observe = &observe;
        self.observers = thread::scope(|scope| {
            let threads: Vec<_> =
                self.robots.iter().enumerate().map(|robot| scope.spawn(move || observe(robot))).collect();
            let joined = threads.into_iter().map(|thread| thread.join());
            joined
                .map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect::<Result<_>>()
        })?;
        self.robots.iter_mut().try_for_each(|robot| robot.wait_until_ready())
    }

    /// Waits until each has the presence records of `peers` robots, itself among them; gives when the last had.
    ///
    /// # Errors
    /// When one of them has not in time.
    pub fn wait_until_acquainted(&self, peers: usize, within: Duration) -> Result<Instant> {
        let known = self.sightings.wait_for_count("peer/", peers, Instant::now() + within);
        known.ok_or_else(|| Error::Deadline {
            what: format!("{peers} peers known to all"),
            within,
            seen: format!("{:?}", self.sightings.counts("peer/")),
        })
    }

    /// The robots, in the order of the hosts.
    pub fn robots(&self) -> &[Robot] {
        &self.robots
    }

    /// The robots, to stop and start them.
    pub fn robots_mut(&mut self) -> &mut [Robot] {
        &mut self.robots
    }

    /// What has come to them; the number of a node is its place among the hosts.
    pub fn sightings(&self) -> &Sightings {
        &self.sightings
    }

    /// How many of these lack at how many daemons, each place counted. The daemons themselves are asked for all that they hold.
    ///
    /// # Errors
    /// When one does not answer.
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

    /// Ends the observation, so that nobody but the daemons themselves speaks with them.
    pub fn leave_alone(&mut self) {
        self.observers.clear();
    }
}

impl Robot {
    /// Has the daemon sign and say that `data` is in the bucket of experiments. Gives when it was told, and the name under
    /// which observers note it.
    ///
    /// # Errors
    /// When it does not say it.
    pub fn say(&self, data: &str) -> Result<(Instant, String)> {
        let statement = proposal(experiments()?.as_str(), data, now(), LIFETIME)?;
        let name = item_name(statement.item());
        let what = format!("having {} say {data}", self.host().name());
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
