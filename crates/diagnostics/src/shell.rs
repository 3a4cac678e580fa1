//! The I/O shell of the service: measures the robot at intervals, states its health, and answers requests.

use crate::answering::Answering;
use crate::batches::Batches;
use crate::collect::stamp;
use crate::collecting;
use crate::decide::HealthAnnouncer;
use crate::device::DeviceClient;
use crate::export::Exporter;
use crate::exporting;
use crate::fleet::fleet;
use crate::fleet_pages::FleetPages;
use crate::health::Report;
use crate::health::settings::rules;
use crate::monitor::{Machine, Monitor, places};
use crate::protocol::{Answer, OwnHealth, Request};
use crate::remote;
use crate::remote::wire::Question;
use crate::settings::Settings;
use crate::shared_monitor::{MonitorFailed, SharedMonitor};
use crate::stated::StatedHealth;
use dcache::PeerId;
use http_server::RouteSet;
use serde::{Deserialize, Serialize};
use service::{Context, DecisionLoop, Endpoint, Failure, FailureKind, Protocol, Service, ServiceError};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use telemetry::Metric;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Time after the start until the first look. Robots that start together find each other first.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// Time between two looks at what can end a robot within minutes. With the time that a record takes, others see a fault
/// within five seconds.
pub const LOOK_EVERY: Duration = Duration::from_millis(2500);
/// Number of looks for each sample, which reads everything. So there is a sample each ten seconds, and six in a minute.
pub const LOOKS_FOR_SAMPLE: u32 = 4;
/// Time in which changes are gathered for one decision. The measurements come seconds apart.
const GATHER: Duration = Duration::from_millis(100);
/// Time for which a stopping node waits after its last statement, so that the copies of the statement for lossy networks
/// are sent as well. The brain sends the last copy 300 ms after the first.
const LAST_COPIES: Duration = Duration::from_millis(350);
/// Name of the file of the history in the data folder.
const HISTORY: &str = "diagnostics.history";
/// Name of the folder for text files of local programs in the data folder.
const TEXT_FILES: &str = "metrics";
/// Maximum size of the name of a program in bytes.
const MAX_PROGRAM_BYTES: usize = 64;

pub(crate) static SAMPLES: Metric =
    Metric::counter("diagnostics.samples", "{sample}", "Samples of this robot that were taken.");
pub(crate) static STATED: Metric = Metric::counter(
    "diagnostics.health.changed",
    "{change}",
    "Changes of the health of this robot that others see.",
);

/// The stages of the service's run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The node states the health of its robot.
    Present,
    /// The daemon stops, so the node has to withdraw the health.
    Leaving,
    /// The node has withdrawn the health.
    Left,
}

/// The service `diagnostics`.
pub struct Diagnostics {
    context: Context,
    settings: Settings,
    monitor: SharedMonitor,
    /// The last health that differs for others from the one before.
    report: watch::Sender<Option<Report>>,
    stage: watch::Sender<Stage>,
    pages: FleetPages,
    batches: Batches,
}

/// Error in the section of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("[diagnostics] device_health: {0:?} is no IP address with a port, such as 127.0.0.1:8085")]
struct WrongAddress(String);

impl Protocol for Diagnostics {
    const NAME: &'static str = "diagnostics";
    type Request = Request;
    type Answer = Answer;
}

impl Endpoint for Diagnostics {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Health {} => self.health().await,
            Request::Fleet { from } => self.fleet(from).await,
            Request::Values { peer, is_collected: true } => self.batches.values(peer).await,
            Request::Values { peer, .. } => match self.other(peer) {
                Some(peer) => remote::ask(&self.context, peer, &Question::Values {}).await,
                None => Ok(Answer::Values { values: self.answering().values().await? }),
            },
            Request::Points { peer, metric, seconds, after, is_collected: true } => {
                self.batches.points(peer, &metric, seconds, after).await
            }
            Request::Points { peer, metric, seconds, after, .. } => match self.other(peer) {
                Some(peer) => {
                    let question = Question::Points { metric, seconds, after };
                    remote::ask(&self.context, peer, &question).await
                }
                None => Ok(Answer::Points(self.answering().points(metric, seconds, after).await?)),
            },
            Request::Collectors {} => self.batches.collectors().await,
            Request::Push { program, text } => self.push(program, text).await,
        }
    }
}

impl Service for Diagnostics {
    type Settings = Settings;
    const METRICS: &'static [Metric] =
        &[STATED, SAMPLES, collecting::ROWS, collecting::REFUSED, exporting::EXPORTED, exporting::UNEXPORTED];

    fn open(context: Context, settings: Settings) -> Result<Self, ServiceError> {
        let environment = context.environment.clone();
        let rules = rules(&settings.rules).map_err(ServiceError::other)?;
        address(&settings)?;
        let data = context.folders.data.clone();
        let text_files = settings.text_files.clone().map(|folder| environment.expand(folder));
        let text_files = text_files.unwrap_or_else(|| data.join(TEXT_FILES)).to_str().map(str::to_owned);
        let machine = Machine::new(&settings.host_root, text_files.clone());
        let boots = boots(&context, &machine)?;
        let own = [PathBuf::from("/"), data].into_iter().chain(context.folders.shared.clone());
        let more = settings.filesystems.iter().cloned().map(|path| environment.expand(path));
        let monitor = Monitor::new(machine, places(own.chain(more), text_files), rules, boots);
        let monitor = SharedMonitor::new(monitor);
        let batches = Batches::new(&context, &settings, &monitor).map_err(ServiceError::other)?;
        Ok(Self {
            context,
            settings,
            monitor,
            report: watch::Sender::default(),
            stage: watch::Sender::new(Stage::Present),
            pages: FleetPages::default(),
            batches,
        })
    }

    async fn run(&self) -> Result<Infallible, ServiceError> {
        tokio::select! {
            ended = self.measure() => ended,
            ended = self.state_health() => ended,
            ended = self.context.with_node(|node| {
                let answering = self.answering();
                async move { Ok(remote::serve(answering, node).await) }
            }) => ended,
            never = self.batches.run() => match never {},
        }
    }

    async fn close(&self) {
        let mut stage = self.stage.subscribe();
        self.stage.send_replace(Stage::Leaving);
        let flushed = self.monitor.run(Monitor::flush);
        let left = async {
            // The sender is in `self`, so waiting cannot fail.
            let _ = stage.wait_for(|stage| *stage == Stage::Left).await;
        };
        if let (Err(error), ()) = tokio::join!(flushed, left) {
            tracing::warn!(%error, "the last samples were not written");
        }
    }

    fn routes(&self) -> Option<RouteSet> {
        let exporter = Exporter {
            swarm: self.context.swarm.clone(),
            monitor: self.monitor.clone(),
            is_for_others: self.settings.metrics_for_others,
        };
        Some(RouteSet::new("the metrics of this robot are at /metrics").exact("/metrics", exporter))
    }
}

impl Diagnostics {
    /// Measures the robot at intervals.
    async fn measure(&self) -> Result<Infallible, ServiceError> {
        if !self.settings.enabled {
            return std::future::pending().await;
        }
        let mut device = DeviceClient::new(address(&self.settings)?);
        sleep(FIRST_LOOK).await;
        self.sample(&mut device).await?;
        // Reading a whole history takes a while, so it comes after the first look at the health.
        self.open_history().await?;
        let mut timer = interval(LOOK_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once.
        timer.tick().await;
        loop {
            for _ in 1..LOOKS_FOR_SAMPLE {
                timer.tick().await;
                let report = self.monitor.run(Monitor::look).await?;
                self.note(report);
            }
            timer.tick().await;
            self.sample(&mut device).await?;
        }
    }

    async fn sample(&self, device: &mut DeviceClient) -> Result<(), ServiceError> {
        let moment = self.context.swarm.read_at(|_, now| now).await?;
        let device = device.ask().await;
        let report = self.monitor.run(move |monitor| monitor.sample(moment, device.as_ref())).await?;
        if report.is_some() {
            self.context.count(&SAMPLES, 1);
        }
        self.note(report);
        Ok(())
    }

    /// Passes the health on if others would see another one.
    fn note(&self, report: Option<Report>) {
        let Some(report) = report else { return };
        let new = StatedHealth::of(&report);
        let is_new = self.report.send_if_modified(|known| {
            let is_new = known.as_ref().is_none_or(|known| !StatedHealth::of(known).is_same(&new));
            if is_new {
                *known = Some(report);
            }
            is_new
        });
        if is_new {
            self.context.count(&STATED, 1);
        }
    }

    async fn open_history(&self) -> Result<(), ServiceError> {
        if !self.settings.keep_history {
            return Ok(());
        }
        let path = self.context.folders.data.join(HISTORY);
        let shown = path.display().to_string();
        let opened = self.monitor.run(move |monitor| monitor.open_history(&path)).await?;
        if let Err(error) = opened {
            tracing::warn!(path = shown, %error, "no history of this robot is kept; only its present values are known");
        }
        Ok(())
    }

    /// States the health of this robot, and withdraws it when the daemon stops.
    async fn state_health(&self) -> Result<Infallible, ServiceError> {
        let swarm = self.context.swarm.clone();
        let (mut report, mut stage) = (self.report.subscribe(), self.stage.subscribe());
        let (mut copied, announcer) = (swarm.is_copied(), HealthAnnouncer::new(swarm.me()));
        // No record triggers a decision, since statements of other peers do not change the health of this robot.
        let mut decisions = DecisionLoop::new(swarm, announcer, |_| false, GATHER);
        loop {
            {
                let mut announcer = decisions.decider();
                if let Some(report) = &*report.borrow_and_update() {
                    announcer.set_health(report);
                }
                announcer.set_copied(*copied.borrow_and_update());
            }
            decisions.decide().await?;
            tokio::select! {
                () = leaving(&mut stage) => break,
                Ok(()) = report.changed() => {}
                Ok(()) = copied.changed() => {}
                () = decisions.changed() => {}
            }
        }
        decisions.decider().leave();
        decisions.decide().await?;
        sleep(LAST_COPIES).await;
        self.stage.send_replace(Stage::Left);
        // The daemon is stopping and drops this future.
        std::future::pending().await
    }
}

/// Functions that answer requests.
impl Diagnostics {
    async fn health(&self) -> Result<Answer, Failure> {
        let report = self.monitor.run(|monitor| monitor.report()).await?;
        let is_measured = report.is_some();
        let Report { level, findings } = report.unwrap_or_default();
        let (peer, name) = (self.context.swarm.me(), self.context.facts.borrow().hostname.clone());
        Ok(Answer::Health(OwnHealth { peer, name, level, findings, is_measured }))
    }

    async fn fleet(&self, from: usize) -> Result<Answer, Failure> {
        let known = if from == 0 { None } else { self.pages.page(from) };
        let robots = match known {
            Some(page) => page,
            None => {
                let all = self.context.swarm.read(fleet).await?;
                self.pages.put(all, from)
            }
        };
        Ok(Answer::Fleet { robots })
    }

    /// Returns the peer of a request, unless it is this robot.
    fn other(&self, peer: Option<PeerId>) -> Option<PeerId> {
        peer.filter(|peer| *peer != self.context.swarm.me())
    }

    fn answering(&self) -> Answering {
        Answering { context: self.context.clone(), monitor: self.monitor.clone() }
    }

    async fn push(&self, program: String, text: String) -> Result<Answer, Failure> {
        if program.is_empty() || program.len() > MAX_PROGRAM_BYTES {
            let message = format!("the name of a program has 1 to {MAX_PROGRAM_BYTES} bytes");
            return Err(Failure::new(FailureKind::Wrong, message));
        }
        let taken = self.monitor.run(move |monitor| monitor.push(&program, &text)).await?;
        Ok(Answer::Pushed { taken: taken.taken, refused: taken.refused })
    }
}

impl From<MonitorFailed> for Failure {
    fn from(error: MonitorFailed) -> Self {
        Self::new(FailureKind::Failed, error)
    }
}

impl From<MonitorFailed> for ServiceError {
    fn from(error: MonitorFailed) -> Self {
        Self::other(error)
    }
}

/// Returns the address of dt-device-health.
fn address(settings: &Settings) -> Result<Option<SocketAddr>, ServiceError> {
    let text = settings.device_health.as_str();
    let wrong = || ServiceError::other(WrongAddress(text.to_owned()));
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|_| wrong()) }
}

/// A boot, and the number of boots until then.
#[derive(Debug, Serialize, Deserialize)]
struct Boot {
    id: String,
    number: u64,
}

/// Returns the number of boots of this robot with dt-swarm; `None` if the present boot has no ID. This call blocks.
fn boots(context: &Context, machine: &Machine) -> Result<Option<u64>, ServiceError> {
    let Some(stamp) = stamp(machine) else { return Ok(None) };
    let (table, key) = (context.table::<String, Boot>("boots"), "last".to_owned());
    let (id, last) = (stamp.boot.to_string(), table.read(&key)?);
    let number = match last {
        Some(last) if last.id == id => return Ok(Some(last.number)),
        last => last.map_or(0, |last| last.number).saturating_add(1),
    };
    table.write(&[(key, Some(Boot { id, number }))])?;
    Ok(Some(number))
}

/// Waits until the daemon stops.
async fn leaving(stage: &mut watch::Receiver<Stage>) {
    // The sender is in the service, so waiting cannot fail.
    let _ = stage.wait_for(|stage| *stage != Stage::Present).await;
}
