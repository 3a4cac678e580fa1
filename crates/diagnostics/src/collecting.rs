//! Collects the histories of the swarm's robots, while roles name this node as a collector: fetches batches, stores their
//! rows, and states the receipts.

use crate::batch::seal::{MAX_SEALED_BYTES, OpenError};
use crate::batch::{FleetId, SealingKey};
use crate::carrying::{FetchBatchError, fetch};
use crate::collect::Root as _;
use crate::collected::{CollectedError, CollectedRows};
use crate::collectors::decide::{Action, Collecting, Fetch, is_of_interest};
use crate::collectors::intake::{Table as _, TakeError, Taken, take};
use crate::collectors::open_fetched;
use crate::collectors::track::RobotState;
use crate::host::HostRoot;
use crate::row_store::{RowStore, RowStoreError};
use dcache::buckets::HOSTNAME;
use dcache::{Moment, PeerId, Set, Time};
use ipfs::node::{FetchError, Node};
use ipfs::unixfs::ReadError;
use service::{Context, DecisionLoop, ServiceError};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;
use swarm::Stopped;
use telemetry::Metric;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{MissedTickBehavior, interval};

/// Time in which arriving records are gathered for one decision.
const GATHER: Duration = Duration::from_millis(500);
/// Space, in bytes, that must be left on the disk to store a batch.
const LEFT_FREE: u64 = 500_000_000;
/// Interval at which old rows are deleted.
const EXPIRE_EVERY: Duration = Duration::from_secs(3600);
/// Maximum number of rows of each robot that are deleted at a time. An hour adds 60.
const MAX_EXPIRED: usize = 10_000;
/// Seconds in a day.
const DAY: u64 = 24 * 3600;

pub(crate) static ROWS: Metric =
    Metric::counter("diagnostics.collected.rows", "{row}", "Rows of other robots that were stored.");
pub(crate) static REFUSED: Metric =
    Metric::counter("diagnostics.collected.refused", "{batch}", "Batches of other robots that were refused.");

/// Collects the histories of robots.
#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) context: Context,
    pub(crate) rows: CollectedRows,
    pub(crate) key: SealingKey,
    /// Days for which rows are kept.
    pub(crate) days: u64,
    /// Folder with the rows.
    pub(crate) folder: PathBuf,
}

/// Reason why a batch was not stored.
#[derive(Debug, thiserror::Error)]
enum CollectError {
    #[error(transparent)]
    Fetch(#[from] FetchBatchError),
    #[error("it cannot be read: {0}")]
    Read(#[from] ReadError),
    #[error("it has {0} bytes, and its robot announced another number")]
    Size(usize),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Take(#[from] TakeError<RowStoreError>),
    #[error(transparent)]
    Rows(#[from] CollectedError),
    #[error("the disk is nearly full")]
    NoSpace,
    #[error("the time of day is not known yet")]
    NoTime,
    #[error("this swarm has no roots")]
    NoFleet,
    #[error("its task failed")]
    Task,
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl CollectError {
    /// Returns whether the batch will not be better later.
    const fn is_final(&self) -> bool {
        match self {
            Self::Size(_) | Self::Open(_) | Self::Take(TakeError::Refused(_)) => true,
            Self::Fetch(FetchBatchError::Fetch(error)) => matches!(
                error,
                FetchError::TooLarge(_)
                    | FetchError::TooManyBlocks(_)
                    | FetchError::TooDeep
                    | FetchError::Dag(_)
                    | FetchError::UnknownHash(_)
            ),
            _ => false,
        }
    }
}

/// The batches that are being fetched.
#[derive(Default)]
struct Fetches {
    tasks: JoinSet<Result<(Taken, RobotState), CollectError>>,
    running: BTreeMap<Id, (Fetch, AbortHandle)>,
}

/// The end of a task that fetches and stores a batch.
type Ended = Result<(Id, Result<(Taken, RobotState), CollectError>), JoinError>;

impl Collector {
    /// Collects until the future is dropped.
    ///
    /// # Errors
    /// When the rows cannot be read, or the daemon is stopping.
    pub(crate) async fn run(&self, node: Node) -> Result<Infallible, ServiceError> {
        let swarm = self.context.swarm.clone();
        let known = self.rows.run_if_any(|rows| rows.robots()).await.map_err(ServiceError::other)?;
        let collecting = Collecting::new(swarm.me(), self.key.public(), known.unwrap_or_default());
        let mut decisions = DecisionLoop::new(swarm, collecting, is_of_interest, GATHER);
        let mut fetches = Fetches::default();
        let mut timer = interval(EXPIRE_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            for action in decisions.decide().await? {
                match action {
                    Action::Fetch(fetch) => self.begin(&node, &mut fetches, fetch),
                    Action::Cancel(fetch) => fetches.cancel(&fetch),
                }
            }
            tokio::select! {
                () = decisions.changed() => {}
                _ = timer.tick() => self.expire().await?,
                Some(ended) = fetches.tasks.join_next_with_id() => {
                    self.ended(&decisions, &mut fetches, ended).await?;
                }
            }
        }
    }

    fn begin(&self, node: &Node, fetches: &mut Fetches, fetch: Fetch) {
        let (collector, node) = (self.clone(), node.clone());
        let task = fetches.tasks.spawn(async move { collector.take(&node, fetch).await });
        fetches.running.insert(task.id(), (fetch, task));
    }

    /// Fetches a batch, opens it, and stores its rows.
    async fn take(&self, node: &Node, wanted: Fetch) -> Result<(Taken, RobotState), CollectError> {
        let Fetch { robot, batch } = wanted;
        let read =
            move |set: &Set, now: Moment| (FleetId::of(set.policy()), name_of(set, robot, now.time), now);
        let (fleet, name, Moment { time, is_certain, .. }) = self.context.swarm.read_at(read).await?;
        let fleet = fleet.ok_or(CollectError::NoFleet)?;
        if !is_certain {
            return Err(CollectError::NoTime);
        }
        // The result protects the blocks until they are read. They are not pinned.
        let _fetched = fetch(node, &self.context.swarm, (batch.cid, robot), batch.bytes).await?;
        let bytes = node.cat(batch.cid, String::new(), MAX_SEALED_BYTES as u64).await?;
        if bytes.len() as u64 != batch.bytes {
            return Err(CollectError::Size(bytes.len()));
        }
        let (mine, folder) = ((self.context.swarm.me(), self.key.clone()), self.folder.clone());
        let of = (wanted, fleet, time);
        self.rows.run(move |rows| Ok(store(rows, &folder, &bytes, (of, name.as_deref()), &mine))).await?
    }

    async fn ended(
        &self,
        decisions: &DecisionLoop<Collecting>,
        fetches: &mut Fetches,
        ended: Ended,
    ) -> Result<(), ServiceError> {
        let (id, result) = ended.unwrap_or_else(|error| (error.id(), Err(CollectError::Task)));
        // A fetch that was cancelled is not in the table. Its rows may be stored nevertheless; they count once.
        let Some((fetch, _)) = fetches.running.remove(&id) else { return Ok(()) };
        let (robot, cid) = (fetch.robot, fetch.batch.cid);
        match result {
            Ok((taken, state)) => {
                self.context.count(&ROWS, taken.new as u64);
                tracing::info!(%robot, rows = taken.new, known = taken.known, placed = taken.placed, "a part of the history of a robot is stored");
                decisions.decider().stored(&fetch, state);
            }
            Err(CollectError::Stopped(stopped)) => return Err(stopped.into()),
            Err(error) if error.is_final() => {
                self.context.count(&REFUSED, 1);
                tracing::warn!(%robot, %cid, %error, "a batch of a robot is refused");
                decisions.decider().refused(&fetch);
            }
            Err(error) => {
                tracing::warn!(%robot, %cid, %error, "a batch of a robot could not be stored; it is tried again later");
                let now = self.context.swarm.read(|_, now| now).await?;
                decisions.decider().failed(&fetch, now);
            }
        }
        Ok(())
    }

    /// Deletes rows that are too old. While the time of day is not known, deletes nothing.
    async fn expire(&self) -> Result<(), ServiceError> {
        let moment = self.context.swarm.read_at(|_, now| now).await?;
        if !moment.is_certain {
            return Ok(());
        }
        let before = Time(moment.time.0.saturating_sub(self.days.saturating_mul(DAY)));
        match self.rows.run_if_any(move |rows| rows.expire(before, MAX_EXPIRED)).await {
            Ok(Some(deleted)) if deleted > 0 => tracing::info!(deleted, "old rows of robots were deleted"),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "old rows of robots could not be deleted"),
        }
        Ok(())
    }
}

impl Fetches {
    fn cancel(&mut self, fetch: &Fetch) {
        self.running.retain(|_, (running, task)| {
            let is_other = running != fetch;
            if !is_other {
                task.abort();
            }
            is_other
        });
    }
}

/// Returns the name that a robot states.
fn name_of(set: &Set, robot: PeerId, now: Time) -> Option<String> {
    let stated = set.bucket(&HOSTNAME.of(robot), now).next()?.item.data.as_str().to_owned();
    Some(stated)
}

/// Opens a batch, and stores its rows. Returns the new state of its robot. This call blocks.
fn store(
    rows: &mut RowStore,
    folder: &Path,
    bytes: &[u8],
    ((wanted, fleet, time), name): ((Fetch, FleetId, Time), Option<&str>),
    (me, key): &(PeerId, SealingKey),
) -> Result<(Taken, RobotState), CollectError> {
    if !has_space(folder) {
        return Err(CollectError::NoSpace);
    }
    let Fetch { robot, batch } = wanted;
    let (base, content) = open_fetched(bytes, &wanted, fleet, (*me, key))?;
    let taken = take(rows, (robot, name), (&batch, base), &content, time)?;
    let state = rows.state(robot).map_err(TakeError::Store)?;
    Ok((taken, state.unwrap_or_default()))
}

/// Returns whether the disk has room for a batch. This call blocks.
fn has_space(folder: &Path) -> bool {
    let space = folder.to_str().and_then(|folder| HostRoot::new("/").space(folder));
    space.is_none_or(|space| space.available >= LEFT_FREE)
}
