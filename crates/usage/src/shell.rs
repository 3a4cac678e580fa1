//! The I/O shell of the service: handles requests, notes the weeks of this robot, sends reports, and collects those of others.

use crate::collector::{COUNTED, Collector, FORGOTTEN, REFUSED};
use crate::consent::{ConsentRow, ConsentSource};
use crate::faults::CONSENT_STATISTICS;
use crate::hex::Hex32;
use crate::observed::LocalPart;
use crate::protocol::{Answer, MAX_WEEKS, Request};
use crate::report::{Errand, KeptReport, Outcome};
use crate::reporter::{Changes, Reporter, collectors, is_collector};
use crate::send::{SENT, send};
use crate::settings::Settings;
use crate::status::status;
use crate::tally::Tally;
use crate::totals::MIN_COUNT;
use crate::week::HOUR;
use crate::wire::Message;
use dcache::{BucketPath, Moment, PeerId, Set, Time, buckets};
use service::{
    Banner, Context, Decide, Decision, DecisionLoop, Endpoint, Failure, FailureKind, OpenQuestions,
    PermissionFile, Protocol, Service, ServiceError, random,
};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Table, TableError};
use swarm::Stopped;
use telemetry::{Metric, report};
use tokio::sync::Notify;

/// Key of the only row of the tables for the consent and for the present week.
const ONLY: &str = "this robot";
/// Time in which changes of the collectors are gathered for one decision.
const GATHER: Duration = Duration::from_secs(1);

/// The service `usage`.
pub struct Usage {
    context: Context,
    permission_file: PathBuf,
    minimum: u32,
    reporter: SharedReporter,
    tables: Tables,
    /// Held while rows are written, so that the disk gets them in their order.
    writing: tokio::sync::Mutex<()>,
    /// Notifies the loop of an answer of the owner.
    changed: Notify,
    /// Ends a report that is being sent.
    denied: Notify,
    collector: Arc<Collector>,
}

/// The rows of this robot on the disk.
struct Tables {
    consent: Table<String, ConsentRow>,
    week: Table<String, Tally>,
    reports: Table<u64, KeptReport>,
}

/// The decider, which the tasks of the service and its decision loop share.
#[derive(Clone)]
struct SharedReporter(Arc<Mutex<Reporter>>);

impl SharedReporter {
    fn lock(&self) -> MutexGuard<'_, Reporter> {
        // Each change is a single call that leaves the reporter consistent, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Decide for SharedReporter {
    type Action = Errand;

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Errand> {
        self.lock().decide(set, now)
    }
}

impl Protocol for Usage {
    const NAME: &'static str = "usage";
    type Request = Request;
    type Answer = Answer;
}

impl Endpoint for Usage {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Show {} => self.status().await,
            Request::Decide { is_allowed } => self.decide(is_allowed).await,
            Request::Forget {} => self.forget().await,
            Request::Totals { weeks } => self.totals(weeks).await,
        }
    }
}

impl Service for Usage {
    type Settings = Settings;
    const METRICS: &'static [Metric] = &[SENT, COUNTED, FORGOTTEN, REFUSED];

    fn open(context: Context, settings: Settings) -> Result<Self, ServiceError> {
        let tables = Tables {
            consent: context.table("consent"),
            week: context.table("week"),
            reports: context.table("reports"),
        };
        let consent = tables.consent.read(&ONLY.to_owned())?.unwrap_or_default();
        let week = tables.week.read(&ONLY.to_owned())?;
        let reports = tables.reports.read_all()?.readable.into_iter().map(|(_, report)| report);
        let spread = u64::from(settings.spread_hours) * HOUR;
        let mut reporter = Reporter::new((context.swarm.me(), spread), consent, week, reports);
        let permission_file = context.environment.expand(settings.permission_file);
        reporter.set_inputs(PermissionFile::read(&permission_file), local_part(&context), secret()?);
        Ok(Self {
            permission_file,
            minimum: MIN_COUNT.max(u32::from(settings.minimum_count)),
            reporter: SharedReporter(Arc::new(Mutex::new(reporter))),
            tables,
            writing: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            denied: Notify::new(),
            collector: Arc::new(Collector::open(context.clone())?),
            context,
        })
    }

    async fn run(&self) -> Result<Infallible, ServiceError> {
        tokio::select! {
            ended = self.report() => ended,
            ended = self.collector.clean() => ended,
            ended = self.context.with_node(|node| {
                let collector = self.collector.clone();
                async move { Ok(collector.serve(node).await) }
            }) => ended,
        }
    }

    fn banner(&self) -> Banner {
        // Without roots nobody can name a collector, so nothing would ever be sent.
        let has_roots = self.context.facts.borrow().has_roots;
        match self.reporter.lock().consent().source {
            ConsentSource::Nobody if has_roots => Banner {
                lines: vec![("statistics", "off, until you allow them".to_owned())],
                hints: vec![(
                    "see what usage statistics would contain, and allow or deny them".to_owned(),
                    "usage show",
                )],
            },
            _ => Banner::default(),
        }
    }
}

/// Returns whether a record in `bucket` can change the collectors.
fn concerns_collectors(bucket: &BucketPath) -> bool {
    buckets::COLLECTORS.contains(bucket)
}

impl Usage {
    /// Notes the weeks of this robot, and sends its reports.
    async fn report(&self) -> Result<Infallible, ServiceError> {
        self.reporter.lock().interrupted();
        let (swarm, reporter) = (self.context.swarm.clone(), self.reporter.clone());
        let mut decisions = DecisionLoop::new(swarm, reporter, concerns_collectors, GATHER);
        loop {
            self.read_inputs().await?;
            let errands = decisions.decide().await?;
            self.ask().await?;
            // The rows say that a report may have left before it leaves, so that it can be deleted after a crash.
            self.write().await?;
            let is_idle = errands.is_empty();
            for errand in errands {
                self.run_errand(errand).await?;
            }
            if is_idle {
                tokio::select! {
                    () = decisions.changed() => {}
                    () = self.changed.notified() => {}
                }
            }
        }
    }

    /// Lets `doctor` ask the owner, if there is a collector, and if nobody has decided yet.
    async fn ask(&self) -> Result<(), Stopped> {
        let me = self.context.swarm.me();
        let is_collected =
            self.context.swarm.read(move |set, now| !collectors(set, me, now).is_empty()).await?;
        let is_open = self.reporter.lock().consent().source == ConsentSource::Nobody;
        let question = (is_open && is_collected).then(|| report!(CONSENT_STATISTICS));
        self.context.shared.get::<OpenQuestions>().set(Self::NAME, question);
        Ok(())
    }

    async fn run_errand(&self, errand: Errand) -> Result<(), ServiceError> {
        let Errand { week, collector, message } = errand;
        let outcome = match &message {
            Message::Report(_) => self.send_report(collector, &message).await?,
            Message::Forget(..) => send(&self.context, collector, &message).await,
        };
        tracing::debug!(%week, %collector, ?outcome, "a message about usage statistics ended");
        let now = self.now().await?;
        self.reporter.lock().ended(week, outcome, now);
        Ok(self.write().await?)
    }

    /// Sends a report. A denial ends this at once.
    async fn send_report(&self, collector: PeerId, message: &Message) -> Result<Outcome, ServiceError> {
        let mut denied = std::pin::pin!(self.denied.notified());
        // A denial after this line is noticed, and one before it is seen by the next check.
        denied.as_mut().enable();
        self.read_inputs().await?;
        if self.reporter.lock().consent().list.is_none() {
            return Ok(Outcome::Unreached("it was denied before it was sent".to_owned()));
        }
        Ok(tokio::select! {
            outcome = send(&self.context, collector, message) => outcome,
            () = denied => Outcome::Unanswered("it was denied while it was sent".to_owned()),
        })
    }

    /// Reads the inputs of the next decision.
    async fn read_inputs(&self) -> Result<PermissionFile, ServiceError> {
        let path = self.permission_file.clone();
        let file = tokio::task::spawn_blocking(move || PermissionFile::read(&path))
            .await
            .map_err(ServiceError::other)?;
        let (local, fresh) = (local_part(&self.context), secret()?);
        self.reporter.lock().set_inputs(file.clone(), local, fresh);
        Ok(file)
    }

    /// Writes what has changed.
    async fn write(&self) -> Result<(), TableError> {
        let _writing = self.writing.lock().await;
        let changes = self.reporter.lock().take_changes();
        let written = self.tables.write(&changes).await;
        if written.is_err() {
            self.reporter.lock().not_written(&changes);
        }
        written
    }

    async fn now(&self) -> Result<Time, Stopped> {
        self.context.swarm.read_at(|_, now| now.time).await
    }

    async fn status(&self) -> Result<Answer, Failure> {
        self.read_inputs().await.map_err(|error| Failure::new(FailureKind::Failed, error))?;
        let (reporter, path) = (self.reporter.clone(), self.permission_file.display().to_string());
        let read = move |set: &Set, now: Moment| status(&reporter.lock(), set, now.time, path);
        Ok(Answer::Status(Box::new(self.context.swarm.read_at(read).await?)))
    }

    async fn decide(&self, is_allowed: bool) -> Result<Answer, Failure> {
        let file = self.read_inputs().await.map_err(|error| Failure::new(FailureKind::Failed, error))?;
        if is_allowed && matches!(file, PermissionFile::Denies | PermissionFile::Unreadable(_)) {
            let path = self.permission_file.display();
            let message = format!(
                "the file {path} denies usage statistics of this robot: write 1 into it, or remove it"
            );
            return Err(Failure::new(FailureKind::Refused, message));
        }
        let now = self.now().await?;
        self.reporter.lock().answered(is_allowed, now);
        self.take_effect(is_allowed).await?;
        self.status().await
    }

    async fn forget(&self) -> Result<Answer, Failure> {
        let now = self.now().await?;
        let reports = self.reporter.lock().forget(now);
        self.take_effect(false).await?;
        Ok(Answer::Forgetting { reports })
    }

    /// Lets an answer of the owner take effect, and writes it to the disk.
    async fn take_effect(&self, is_allowed: bool) -> Result<(), Failure> {
        if !is_allowed {
            self.denied.notify_waiters();
        }
        let written = self.write().await;
        self.changed.notify_one();
        written.map_err(|error| {
            let message = format!("the answer counts only until the daemon restarts, because {error}");
            Failure::new(FailureKind::Disk, message)
        })
    }

    async fn totals(&self, weeks: usize) -> Result<Answer, Failure> {
        let me = self.context.swarm.me();
        let is_collector =
            self.context.swarm.read_at(move |set, now| is_collector(set, me, now.time)).await?;
        let weeks = self.collector.totals(self.minimum, weeks.min(MAX_WEEKS)).await;
        Ok(Answer::Totals { is_collector, minimum: self.minimum, weeks })
    }
}

impl Tables {
    async fn write(&self, changes: &Changes) -> Result<(), TableError> {
        let Changes { consent, tally, reports } = changes;
        if let Some(consent) = consent {
            self.consent.write_async(&[(ONLY.to_owned(), Some(*consent))]).await?;
        }
        if !reports.is_empty() {
            let rows: Vec<_> = reports.iter().map(|(week, row)| (week.number(), row.clone())).collect();
            self.reports.write_async(&rows).await?;
        }
        // The notes of a week are removed after its report is written.
        if let Some(tally) = tally {
            self.week.write_async(&[(ONLY.to_owned(), tally.clone())]).await?;
        }
        Ok(())
    }
}

fn local_part(context: &Context) -> LocalPart {
    let facts = context.facts.borrow();
    LocalPart { version: facts.version.clone(), has_key: facts.has_key }
}

/// Returns random bytes for a secret.
fn secret() -> Result<Hex32, ServiceError> {
    random().map(Hex32).map_err(ServiceError::other)
}
