//! The I/O shell of the service: its state on the disk, its requests and its task.

mod content;
mod network_manager;
mod reading;
mod runner;
mod state;

use crate::decide::{Action, UploadRules, Uploading};
use crate::destination::{Destination as _, Storage};
use crate::faults::CONSENT_LOGS;
use crate::gate::{Gate, Verdict};
use crate::hours::Minute;
use crate::object::key_of;
use crate::pace::Pace;
use crate::permission::{Permission, Permitted};
use crate::protocol::{Answer, Request, StoredObject};
use crate::s3::Patience;
use crate::settings::Settings;
use dcache::{BucketPath, Role, Set, Time, buckets};
use ipfs::Cid;
use ipfs::node::Node;
use jiff::Zoned;
use logs::{SharedCatalogs, Terms};
use runner::Runner;
use service::{
    Banner, Context, DecisionLoop, Endpoint, Failure, FailureKind, OpenQuestions, Protocol, Service,
    ServiceError,
};
use state::State;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use telemetry::{Metric, report};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Time in which arriving records are gathered for one decision.
const GATHER: Duration = Duration::from_millis(300);
/// Interval at which the permission file and the time of day are read.
const LOOK: Duration = Duration::from_secs(60);

pub(crate) static COMPLETED: Metric = Metric::counter(
    "uploads.completed",
    "{file}",
    "Files that this node uploaded, or found in the destination.",
);
pub(crate) static FAILED: Metric =
    Metric::counter("uploads.failed", "{file}", "Uploads of this node that ended without an object.");

/// The service `uploads`.
pub struct Uploads {
    context: Context,
    settings: Settings,
    storage: Option<Arc<Storage>>,
    pace: Pace,
    gate: Gate,
    state: State,
    /// The catalogues of robots, which the service `logs` reads.
    catalogs: SharedCatalogs,
}

impl Protocol for Uploads {
    const NAME: &'static str = "uploads";
    type Request = Request;
    type Answer = Answer;
}

impl Endpoint for Uploads {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::List {} => Ok(Answer::Uploads(self.state.list(self.destination(), self.obstacle()))),
            Request::Carried {} => Ok(Answer::Carried(self.state.carried_list(&self.settings))),
            Request::Look { cid } => self.look(&cid).await,
            Request::Read { cid, offset, size, is_archive } => {
                reading::read(self.storage()?, &key_of(&known(&cid)?, is_archive), offset, size).await
            }
        }
    }
}

impl Service for Uploads {
    type Settings = Settings;
    const METRICS: &'static [Metric] = &[COMPLETED, FAILED];

    fn open(context: Context, settings: Settings) -> Result<Self, ServiceError> {
        let environment = context.environment.clone();
        let expand = |path| environment.expand(path);
        let (pace, me) = (Pace::default(), context.swarm.me().to_string());
        let storage = settings.open(expand, &me, pace.clone(), Patience::default());
        let storage = storage.map_err(ServiceError::other)?.map(Arc::new);
        let gate = settings.gate(matches!(storage.as_deref(), Some(Storage::S3(_))));
        let (state, catalogs) = (State::open(&context)?, context.shared.get());
        Ok(Self { context, settings, storage, pace, gate, state, catalogs })
    }

    async fn run(&self) -> Result<Infallible, ServiceError> {
        self.context.with_node(|node| self.run_with(node)).await
    }

    fn banner(&self) -> Banner {
        let line = self.destination().map(|destination| ("uploads to", destination));
        Banner { lines: line.into_iter().collect(), hints: Vec::new() }
    }
}

/// Returns whether a record in `bucket` can change a decision about uploads. The presence of peers changes often; the
/// decider looks at it once a minute.
fn concerns_uploads(bucket: &BucketPath) -> bool {
    buckets::SHARE.contains(bucket)
        || buckets::UPLOADS.contains(bucket)
        || buckets::UPLOAD_TERMS.contains(bucket)
}

/// Begins the next uploads of the last decision while others end soon after each other. A
/// decision for each of many small files would take longer than their uploads.
async fn gather_ends(runner: &mut Runner, node: &Node) -> Result<(), ServiceError> {
    let end = Instant::now() + GATHER;
    runner.fill(node);
    while runner.is_busy() {
        let Ok(ended) = timeout_at(end, runner.next_end()).await else { break };
        runner.ended(ended).await?;
        runner.fill(node);
    }
    Ok(())
}

/// Returns a place to which a node with the role for it uploads logs.
fn destination_of_others(set: &Set, now: Time) -> Option<String> {
    let uploaders = [Role::Admin, Role::Trusted].into_iter().flat_map(|role| set.holders(role, now));
    uploaders.filter_map(|peer| Terms::of(set, peer, now)?.destination).next()
}

/// Returns the minute of the day by the local time of the robot.
fn local_minute() -> Minute {
    let now = Zoned::now();
    Minute::of(now.hour().unsigned_abs(), now.minute().unsigned_abs()).unwrap_or_default()
}

fn known(cid: &str) -> Result<Cid, Failure> {
    let wrong = || Failure::new(FailureKind::Wrong, format!("{cid:?} is not the CID of a shared file"));
    logs::buckets::parse(cid).ok_or_else(wrong)
}

impl Uploads {
    fn destination(&self) -> Option<String> {
        self.storage.as_ref().map(|storage| storage.name().to_owned())
    }

    fn storage(&self) -> Result<&Storage, Failure> {
        let none = || {
            let message = "this robot has no `destination` in the section [uploads] of its configuration";
            Failure::new(FailureKind::Refused, message)
        };
        self.storage.as_deref().ok_or_else(none)
    }

    async fn look(&self, cid: &str) -> Result<Answer, Failure> {
        let (storage, cid) = (self.storage()?, known(cid)?);
        let mut object = None;
        for is_archive in [false, true] {
            let seen = storage.look(&key_of(&cid, is_archive)).await;
            let seen = seen.map_err(|trouble| Failure::new(FailureKind::Refused, trouble))?;
            if let Some(seen) = seen {
                object = Some(StoredObject { bytes: seen.size, sha256: seen.sha256, is_archive });
                break;
            }
        }
        Ok(Answer::Stored { object, destination: storage.name().to_owned() })
    }

    /// Returns the reason why nothing is uploaded at the moment, if this node has a destination.
    fn obstacle(&self) -> Option<String> {
        self.storage.as_ref()?;
        let lacks_role = || {
            let message =
                "this robot needs the role trusted to upload; an admin gives it with `grant trusted`";
            (!self.state.has_role()).then(|| message.to_owned())
        };
        self.state.closed().or_else(lacks_role)
    }

    fn rules(&self) -> UploadRules {
        UploadRules {
            destination: self.destination(),
            is_allowed: false,
            is_denied: false,
            carries: self.settings.carry,
            max_carried: self.settings.max_carried_bytes(),
            priorities: self.settings.priorities.clone(),
        }
    }

    async fn run_with(&self, node: Node) -> Result<Infallible, ServiceError> {
        let begun = self.state.begin().await?;
        let decider = Uploading::new(self.context.swarm.me(), self.rules());
        let mut decisions = DecisionLoop::new(self.context.swarm.clone(), decider, concerns_uploads, GATHER);
        let mut runner =
            Runner::new(self.context.clone(), self.storage.clone(), self.state.clone(), &self.settings);
        runner.settle(begun).await?;
        let mut pins = node.store().pin_changes();
        let mut wanted = self.context.wanted_files.subscribe();
        let mut catalogs = self.catalogs.subscribe();
        let mut look_due = Instant::now();
        self.read_pins(&node).await?;
        loop {
            if Instant::now() >= look_due {
                self.read_permission().await;
                self.look_at_gate().await;
                look_due = Instant::now() + LOOK;
            }
            let unhandled = wanted.borrow_and_update().released.clone();
            self.state.drop_released(&unhandled).await?;
            let due = self.decide(&mut decisions, &mut runner, &node).await?;
            tokio::select! {
                () = decisions.changed() => {}
                Ok(()) = pins.changed() => {
                    // Reading the list of pins costs time per pin.
                    tokio::time::sleep(GATHER).await;
                    pins.borrow_and_update();
                    self.read_pins(&node).await?;
                }
                Ok(()) = wanted.changed() => {}
                Ok(()) = catalogs.changed() => {}
                ended = runner.next_end() => {
                    runner.ended(ended).await?;
                    gather_ends(&mut runner, &node).await?;
                }
                () = sleep_until(due.min(look_due)) => {}
            }
        }
    }

    /// Decides, and carries out the decision. Returns the time at which a failed upload is tried again.
    async fn decide(
        &self,
        decisions: &mut DecisionLoop<Uploading>,
        runner: &mut Runner,
        node: &Node,
    ) -> Result<Instant, ServiceError> {
        {
            let mut decider = decisions.decider();
            self.state.fill(&mut decider);
            decider.set_catalogs(self.catalogs.current());
        }
        let actions = decisions.decide().await?;
        {
            let decider = decisions.decider();
            self.state.note_decision(decider.waiting().clone(), decider.has_role());
        }
        let (mut uploads, mut forgotten) = (Vec::new(), Vec::new());
        for action in actions {
            match action {
                Action::Upload(file) => uploads.push(file),
                Action::Cancel(cid, reason) => runner.cancel(cid, reason),
                Action::Carry(cid, file) => self.state.carry(cid, file).await?,
                Action::Release(cid) => self.state.release(cid).await?,
                Action::Forget(cid) => forgotten.push(cid),
            }
        }
        self.state.forget_receipts(&forgotten).await?;
        self.state.tell_wanted(&self.context.wanted_files);
        self.state.note_due(&uploads);
        if self.state.set_has_work(!uploads.is_empty()) {
            self.look_at_gate().await;
        }
        if self.obstacle().is_some() {
            uploads.clear();
        }
        Ok(runner.follow(uploads.into(), node))
    }

    async fn read_pins(&self, node: &Node) -> Result<(), ServiceError> {
        let pins = node.pins().await.map_err(ServiceError::other)?;
        self.state.set_kept(pins.into_iter().map(|pin| pin.root).collect());
        Ok(())
    }

    /// Opens or closes the uploads, by the time of day and the kind of the connection.
    async fn look_at_gate(&self) {
        let asks = self.gate.asks() && self.state.has_work();
        let is_metered = if asks { network_manager::is_metered().await } else { None };
        let closed = match self.gate.judge(local_minute(), is_metered) {
            Verdict::Open(rate) => {
                self.pace.change(rate);
                None
            }
            Verdict::Closed(reason) => Some(reason),
        };
        self.state.set_closed(closed);
    }

    /// Lets `doctor` ask the owner, if a node uploads logs, and if nobody has decided about those of this robot.
    async fn ask(&self, permitted: &Permitted) {
        let mut destination = None;
        if permitted.file.is_none() && !permitted.is_allowed {
            // The daemon is stopping if this fails.
            destination = self.context.swarm.read(destination_of_others).await.ok().flatten();
        }
        let file = self.context.environment.expand(self.settings.permission_file.clone());
        let question = destination
            .map(|destination| report!(CONSENT_LOGS, destination = destination, file = file.display()));
        self.context.shared.get::<OpenQuestions>().set(Self::NAME, question);
    }

    async fn read_permission(&self) {
        let file = self.context.environment.expand(self.settings.permission_file.clone());
        let permission = Permission { file, allow: self.settings.allow };
        let read = tokio::task::spawn_blocking(move || permission.read()).await;
        // A panic permits nothing.
        let permitted = read.unwrap_or_else(|_| Permitted::default());
        if let (Some(error), true) = (&permitted.error, self.state.is_news(&permitted)) {
            tracing::warn!(
                error,
                "the permission file cannot be read, so the logs of this robot are not uploaded"
            );
        }
        let may_leave = Some(!permitted.is_denied());
        self.ask(&permitted).await;
        self.context.may_leave.send_if_modified(|known| std::mem::replace(known, may_leave) != may_leave);
        self.state.set_permitted(permitted);
    }
}
