//! A complete small service: each robot publishes a heartbeat, and a client can ask each robot which robots are alive.
//! `docs/add-a-service.md` explains this file.

use dcache::{PeerId, Set, Time, buckets};
use decide::{Heartbeat, bucket};
use serde::{Deserialize, Serialize};
use service::prelude::*;
use std::{collections::BTreeSet, convert::Infallible, process::ExitCode, time::Duration};

/// The pure decider. The denied lints keep it pure, so that the simulator can run it.
mod decide {
    #![deny(clippy::disallowed_methods, clippy::disallowed_types)]
    use dcache::{BucketPath, Item, Key, Moment, PeerId, Set, Statements, Validity, buckets};
    use service::{Decide, Decision};

    /// Proposes an item in `pri/ID/heartbeat`, and renews the proposal when half of `lifetime` (in seconds) is over.
    pub(crate) struct Heartbeat {
        pub(crate) me: PeerId,
        pub(crate) lifetime: u64,
    }

    pub(crate) fn bucket(peer: PeerId) -> BucketPath {
        buckets::PRIVATE.below(peer, "heartbeat")
    }

    impl Decide for Heartbeat {
        type Action = ();

        fn decide(&mut self, set: &Set, now: Moment) -> Decision<()> {
            let (me, now, half) = (self.me, now.time, self.lifetime / 2);
            let item = Item { bucket: bucket(me), data: me.into() };
            let held = set.get(&Key { item: item.clone(), signer: me });
            let left = held.and_then(|record| Some(record.validity().until()?.since(now))).unwrap_or(0);
            if left > half {
                return Decision::state(Statements::new(), Some(now.plus(left - half)));
            }
            let mut statements = Statements::new();
            statements.propose(item, Validity::stated(now, self.lifetime));
            Decision { statements, actions: vec![()], wake: Some(now.plus(half)) }
        }
    }
}

static PUBLISHED: Metric = Metric::counter("heartbeat.published", "{heartbeat}", "Heartbeats published.");

/// The section `[heartbeat]` of the configuration.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Settings {
    /// Validity of a heartbeat in seconds. Default: 60.
    lifetime_seconds: Option<u64>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Request {
    /// Asks which robots are alive.
    List {},
    /// Starts a job that waits until this number of robots are alive.
    Await { robots: u64 },
    /// Asks for the status of a job.
    Job { job: JobNumber },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Alive { peers: BTreeSet<PeerId> },
    Started { job: JobNumber },
    Job(JobStatus<u64>),
}

/// The jobs of the service. The order of a job is the number of robots to wait for. Its outcome is the number of robots
/// that are alive.
struct Waiting;

impl JobKind for Waiting {
    type Order = u64;
    type Outcome = u64;
    type Local = ();
}

struct HeartbeatService {
    context: Context,
    lifetime: u64,
    jobs: Jobs<Waiting>,
}

impl Protocol for HeartbeatService {
    const NAME: &'static str = "heartbeat";
    type Request = Request;
    type Answer = Answer;
}

impl Endpoint for HeartbeatService {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        let swarm = self.context.swarm.clone();
        match request {
            Request::List {} => Ok(Answer::Alive { peers: swarm.read(alive).await? }),
            Request::Await { robots } => {
                let job = self.jobs.run(robots, |reporter| wait(swarm, robots, reporter)).await?;
                Ok(Answer::Started { job })
            }
            Request::Job { job } => Ok(Answer::Job(self.jobs.wait(job).await?)),
        }
    }
}

fn alive(set: &Set, now: Time) -> BTreeSet<PeerId> {
    let present = set.bucket(&buckets::PEER.path(), now);
    let peers = present.filter_map(|view| view.item.data.as_str().parse().ok());
    peers.filter(|peer| set.bucket(&bucket(*peer), now).next().is_some()).collect()
}

async fn wait(swarm: Swarm, robots: u64, reporter: ProgressReporter) -> Result<u64, String> {
    let mut changes = swarm.changes();
    loop {
        let alive = swarm.read(alive).await.map_err(|error| error.to_string())?.len() as u64;
        reporter.report(alive, Some(robots));
        if alive >= robots {
            return Ok(alive);
        }
        let _ = changes.recv().await;
    }
}

impl Service for HeartbeatService {
    type Settings = Settings;

    fn open(context: Context, settings: Settings) -> Result<Self, ServiceError> {
        Ok(Self { context, lifetime: settings.lifetime_seconds.unwrap_or(60), jobs: Jobs::in_memory() })
    }

    async fn run(&self) -> Result<Infallible, ServiceError> {
        let decider = Heartbeat { me: self.context.swarm.me(), lifetime: self.lifetime };
        let mut decisions = DecisionLoop::new(self.context.swarm.clone(), decider, |_| false, Duration::ZERO);
        loop {
            let published = decisions.decide().await?;
            self.context.count(&PUBLISHED, published.len() as u64);
            decisions.changed().await;
        }
    }
}

const SERVICES: &[Registration] =
    &[Registration::of::<discovery::Discovery>(), Registration::of::<HeartbeatService>()];

fn main() -> ExitCode {
    dt_swarm::run(SERVICES)
}
