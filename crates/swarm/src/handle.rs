//! The handle through which services use the swarm.

use brain::{Brain, Now, Routing};
use dcache::{Moment, PeerId, Policy, Record, Refusal, Set, Statement, StatementError, Statements, Time};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::WriteError;
use telemetry::{Counters, FaultReport, Metric};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// Number of changes by which a slow listener may be behind. A listener that is further behind misses some changes. It
/// is notified of that, and reads the set again.
const CHANGES: usize = 1024;

type Reading = Box<dyn FnOnce(&Set, Moment) + Send>;
type Asking = Box<dyn FnOnce(&Brain, Now) + Send>;

/// A command of a service to the driver.
pub(crate) enum Command {
    Read(Reading),
    Ask(Asking),
    Ping { pinged: oneshot::Sender<()> },
    Route { routing: Routing, routed: oneshot::Sender<()> },
    Say { statements: Vec<Statement>, said: oneshot::Sender<Result<(), SayError>> },
    Carry { records: Vec<Record>, said: oneshot::Sender<Result<(), SayError>> },
    Adopt { policy: Policy, adopted: oneshot::Sender<()> },
}

/// The swarm, as its services see it. All clones are handles of the same swarm.
#[derive(Clone)]
pub struct Swarm {
    me: PeerId,
    commands: mpsc::Sender<Command>,
    changes: broadcast::Sender<Record>,
    /// Number of times that the time of day jumped.
    clock_sets: watch::Sender<u64>,
    /// Values that services have counted since the brain last took them.
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

/// The reason why a statement was not published. No peer has received its record then.
#[derive(Clone, Debug, thiserror::Error)]
pub enum SayError {
    /// The statement is not valid.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// The record could not be written to the disk.
    #[error("the record could not be written to the disk: {0}")]
    Disk(#[source] Arc<WriteError>),
    /// The set of this node refuses the record.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// An earlier record about the same item has to be kept for longer, so this one would have no effect.
    #[error(
        "an earlier record of the same signer about the same item has to be kept for longer, so this one would have no effect; retract the earlier one"
    )]
    Outlasted,
    /// This node changed to another swarm while the record was written.
    #[error(
        "this node changed to another swarm while the record was written; publish it again in this swarm"
    )]
    OtherSwarm,
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

    /// Returns the peer ID of this node.
    pub fn me(&self) -> PeerId {
        self.me
    }

    /// Reads the set as it is now. The task that owns the set runs `reading`, which must be quick and must not wait.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn read<T: Send + 'static>(
        &self,
        reading: impl FnOnce(&Set, Time) -> T + Send + 'static,
    ) -> Result<T, Stopped> {
        self.read_at(move |set, now| reading(set, now.time)).await
    }

    /// Reads the set like [`Swarm::read`], together with the time of day and whether it is certain.
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

    /// Publishes statements in this node's name. When it returns, their records are on the disk and on their way to the
    /// peers.
    ///
    /// # Errors
    /// When a statement cannot be published, or its record cannot be stored.
    pub async fn say(&self, statements: Statements) -> Result<(), SayError> {
        if statements.is_empty() {
            return Ok(());
        }
        let statements = statements.into_signable()?;
        let (said, answered) = oneshot::channel();
        self.commands.send(Command::Say { statements, said }).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)?
    }

    /// Publishes statements like [`Swarm::say`], except those that are not worth a record; see
    /// [`Statements::keep_worthwhile`]. It leaves out:
    ///
    /// * statements that have no effect unless peers with other roles make them;
    /// * statements beyond this node's quota, which would evict its own earlier records, so that services would repeat
    ///   their statements without end;
    /// * statements that only repeat an earlier one of this node of which more than half of the validity is left.
    ///
    /// Extends the validity of statements that are valid now, so that they are also valid by the clocks of the
    /// neighbours. Returns the number of statements beyond the quota.
    ///
    /// # Errors
    /// When the remaining statements cannot be published, or their records cannot be stored.
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

    /// Publishes records that others have signed, such as a person with a key file. When it returns, the records are on
    /// the disk and on their way to the peers.
    ///
    /// # Errors
    /// When a record is refused or cannot be stored. Of several records, some may have been accepted.
    pub async fn carry(&self, records: Vec<Record>) -> Result<(), SayError> {
        let (said, answered) = oneshot::channel();
        self.commands.send(Command::Carry { records, said }).await.map_err(|_| Stopped)?;
        answered.await.map_err(|_| Stopped)?
    }

    /// Replaces the policy of this node.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn adopt(&self, policy: Policy) -> Result<(), Stopped> {
        let (adopted, done) = oneshot::channel();
        self.commands.send(Command::Adopt { policy, adopted }).await.map_err(|_| Stopped)?;
        done.await.map_err(|_| Stopped)
    }

    /// Reads from the brain, for example the route of an address. The task that owns the brain runs `asking`, which must
    /// be quick and must not wait.
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

    /// Sends a ping to all peers on each local network and on each link that lasts. The brain notes who answers; see
    /// [`Brain::hearings`].
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn ping(&self) -> Result<(), Stopped> {
        let (pinged, done) = oneshot::channel();
        self.commands.send(Command::Ping { pinged }).await.map_err(|_| Stopped)?;
        done.await.map_err(|_| Stopped)
    }

    /// Replaces the routing of lines.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn route(&self, routing: Routing) -> Result<(), Stopped> {
        let (routed, done) = oneshot::channel();
        self.commands.send(Command::Route { routing, routed }).await.map_err(|_| Stopped)?;
        done.await.map_err(|_| Stopped)
    }

    /// Adds `by` to a counter that the status of this node shows. Does not wait, and wakes no task.
    pub fn count(&self, metric: &'static Metric, by: u64) {
        self.counted().add(metric, by);
    }

    /// Takes the counts of services since the last call.
    pub(crate) fn take_counted(&self) -> Counters {
        std::mem::take(&mut self.counted())
    }

    fn counted(&self) -> MutexGuard<'_, Counters> {
        // Each change is a single call that leaves the counters consistent.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a receiver that tells whether another host uses the key of this node, as far as is known.
    pub fn is_copied(&self) -> watch::Receiver<bool> {
        self.is_copied.subscribe()
    }

    /// Notes the fault that another host uses the key of this node. `None` means that no other host does.
    pub(crate) fn tell_copied(&self, fault: Option<&FaultReport>) {
        let is_copied = fault.is_some();
        let is_new = self.is_copied.send_if_modified(|told| std::mem::replace(told, is_copied) != is_copied);
        match fault {
            Some(fault) => tracing::error!("{fault}"),
            None if is_new => tracing::info!("no other host uses the identity of this host any more"),
            None => {}
        }
    }

    /// Returns a receiver of every record that is new in the set after this call, this node's own included.
    pub fn changes(&self) -> broadcast::Receiver<Record> {
        self.changes.subscribe()
    }

    /// Returns a receiver that changes when the time of day jumps, because the clock was set or because neighbours told
    /// the time to a node that did not know it. It also changes when the policy is replaced. In these cases records may
    /// become valid or expire although no new record came.
    pub fn clock_sets(&self) -> watch::Receiver<u64> {
        self.clock_sets.subscribe()
    }

    pub(crate) fn clock_was_set(&self) {
        self.clock_sets.send_modify(|times| *times = times.wrapping_add(1));
    }

    pub(crate) fn changed(&self, record: Record) {
        // An error only means that there is no listener.
        let _ = self.changes.send(record);
    }
}
