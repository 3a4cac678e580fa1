//! What services hold.

use brain::{Brain, Now, Routing};
use dcache::{Moment, PeerId, Policy, Record, Refusal, Set, Statement, StatementError, Statements, Time};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::WriteError;
use telemetry::{Counters, FaultReport, Metric};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// How many changes a slow listener may be behind before it misses some; it is told then, and reads anew.
const CHANGES: usize = 1024;

type Reading = Box<dyn FnOnce(&Set, Moment) + Send>;
type Asking = Box<dyn FnOnce(&Brain, Now) + Send>;

/// What the driver is asked for.
pub(crate) enum Command {
    Read(Reading),
    Ask(Asking),
    Route { routing: Routing, routed: oneshot::Sender<()> },
    Say { statements: Vec<Statement>, said: oneshot::Sender<Result<(), SayError>> },
    Carry { records: Vec<Record>, said: oneshot::Sender<Result<(), SayError>> },
    Adopt { policy: Policy, adopted: oneshot::Sender<()> },
}

/// The swarm, as its services see it. A clone is the same swarm.
#[derive(Clone)]
pub struct Swarm {
    me: PeerId,
    commands: mpsc::Sender<Command>,
    changes: broadcast::Sender<Record>,
    /// How often the time of day jumped.
    clock_sets: watch::Sender<u64>,
    /// What services counted and the brain does not know yet.
    counted: Arc<Mutex<Counters>>,
    is_copied: watch::Sender<bool>,
}

/// The daemon is stopping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the swarm has stopped")]
pub struct Stopped;

impl From<Stopped> for control::Failure {
    fn from(stopped: Stopped) -> Self {
        Self::new(control::FailureKind::Stopped, stopped)
    }
}

/// Why something was not said. Nobody has heard any of it then.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SayError {
    /// It is nothing that can be said.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It could not be put on the disk.
    #[error("it could not be put on the disk: {0}")]
    Disk(#[source] Arc<WriteError>),
    /// The own set refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An earlier record about the same item is to be remembered for longer, so this one would not count.
    #[error(
        "an earlier record of the same signer about this lasts longer, so this one would not count; take the earlier one back"
    )]
    Outlasted,
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Swarm {
    pub(crate) fn new(me: PeerId, commands: mpsc::Sender<Command>) -> Self {
        let (clock_sets, is_copied) = (watch::Sender::new(0), watch::Sender::new(false));
        let changes = broadcast::channel(CHANGES).0;
        Self { me, commands, changes, clock_sets, counted: Arc::default(), is_copied }
    }

    /// Who this node is.
    pub fn me(&self) -> PeerId {
        self.me
    }

    /// Reads the set at this moment. `reading` is run by the task that owns the set: it must be quick, and must not wait.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn read<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&Set, Time) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        self.read_at(move |set, now| reading(set, now.time)).await
    }

    /// As [`Swarm::read`], with all that is known of the time.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn read_at<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&Set, Moment) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let reading: Reading = Box::new(move |set, now| drop(answer.send(reading(set, now))));
        self.commands.send(Command::Read(reading)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// Says something in this node's name. When it returns, it is on the disk and on its way to the others.
    ///
    /// # Errors
    /// When it cannot be said, or not be kept.
    pub async fn say(&self, statements: Statements) -> Result<(), SayError> {
        if statements.is_empty() {
            return Ok(());
        }
        let statements = statements.into_signable()?;
        let (said, answered) = oneshot::channel();
        self.commands.send(Command::Say { statements, said }).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)?
    }

    /// As [`Swarm::say`], but without what would not count, since there others have to speak; and without what is beyond
    /// this node's quota, or its own earlier records would leave for it, and be made again, for ever; and without what only
    /// repeats an unchanged word of this node before half of its time: see [`Statements::keep_worthwhile`]. What holds from
    /// now on holds by the clocks of the neighbours as well. Returns the number of statements beyond the quota.
    ///
    /// # Errors
    /// When the rest cannot be said, or not be kept.
    pub async fn say_what_counts(&self, mut statements: Statements) -> Result<usize, SayError> {
        if statements.is_empty() {
            return Ok(0);
        }
        let me = self.me;
        let counting = self.read_at(move |set, now| {
            let beyond = statements.keep_worthwhile(set, me, now);
            (statements, beyond)
        });
        let (statements, beyond) = counting.await?;
        self.say(statements).await.map(|()| beyond)
    }

    /// Brings what others have signed, such as a person with a key in a file. When it returns, it is on the disk and on
    /// its way to the others.
    ///
    /// # Errors
    /// When it is refused, or cannot be kept; with several records some may have been taken.
    pub async fn carry(&self, records: Vec<Record>) -> Result<(), SayError> {
        let (said, answered) = oneshot::channel();
        self.commands.send(Command::Carry { records, said }).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)?
    }

    /// From now on another policy counts.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn adopt(&self, policy: Policy) -> Result<(), Stopped> {
        let (adopted, done) = oneshot::channel();
        self.commands.send(Command::Adopt { policy, adopted }).await.map_err(|_| Stopped)?;
        done.await.map_err(|_| Stopped)
    }

    /// Asks the brain something, such as how it would route an address. `asking` must be quick, and must not wait.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn ask<T: Send + 'static>(
        &self,
        asking: impl FnOnce(&Brain, Now) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        let (answer, answered) = oneshot::channel();
        let asking: Asking = Box::new(move |brain, now| drop(answer.send(asking(brain, now))));
        self.commands.send(Command::Ask(asking)).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)
    }

    /// From now on lines are routed so.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn route(&self, routing: Routing) -> Result<(), Stopped> {
        let (routed, done) = oneshot::channel();
        self.commands.send(Command::Route { routing, routed }).await.map_err(|_| Stopped)?;
        done.await.map_err(|_| Stopped)
    }

    /// Adds to a counter, which the status of this node shows. It does not wait, and wakes nobody.
    pub fn count(&self, metric: &'static Metric, by: u64) {
        self.counted().add(metric, by);
    }

    /// Takes what services counted since the last call.
    pub(crate) fn take_counted(&self) -> Counters {
        std::mem::take(&mut self.counted())
    }

    fn counted(&self) -> MutexGuard<'_, Counters> {
        // Each change is a single call that leaves the counters whole.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether another host uses the key of this node, as far as is known.
    pub fn is_copied(&self) -> watch::Receiver<bool> {
        self.is_copied.subscribe()
    }

    /// Tells that another host uses the key of this node, or with `None` that none does.
    pub(crate) fn tell_copied(&self, fault: Option<&FaultReport>) {
        let is_copied = fault.is_some();
        let is_new = self.is_copied.send_if_modified(|told| std::mem::replace(told, is_copied) != is_copied);
        match fault {
            Some(fault) => tracing::error!("{fault}"),
            None if is_new => tracing::info!("no other host uses the identity of this one any more"),
            None => {}
        }
    }

    /// Every record that is new in the set from now on, this node's own included.
    pub fn changes(&self) -> broadcast::Receiver<Record> {
        self.changes.subscribe()
    }

    /// Tells when the time of day jumps: the clock was set, or neighbours told the time to a node that did not know it; and
    /// when another policy counts. What holds and what is over may be different then, although no record came.
    pub fn clock_sets(&self) -> watch::Receiver<u64> {
        self.clock_sets.subscribe()
    }

    pub(crate) fn clock_was_set(&self) {
        self.clock_sets.send_modify(|times| *times = times.wrapping_add(1));
    }

    pub(crate) fn changed(&self, record: Record) {
        // An error only says that nobody listens.
        let _ = self.changes.send(record);
    }
}
