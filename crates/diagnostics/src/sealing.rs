//! Seals the history of this robot for the collectors: makes batches, puts them into IPFS, and announces them.

use crate::batch::decide::{Action, Batching, Made, Order};
use crate::batch::make::MakeError;
use crate::batch::seal::{MAX_SEALED_BYTES, SECRET_BYTES};
use crate::batch::state::BatchState;
use crate::batch::stated::recipients;
use crate::batch::{FleetId, HistoryId};
use crate::monitor::Monitor;
use crate::shared_monitor::{MonitorFailed, SharedMonitor};
use cid::Cid;
use dcache::BucketPath;
use dcache::buckets::{COLLECTORS, RECEIPTS, SEALING_KEY};
use ipfs::node::{Node, PinError};
use ipfs::unixfs::{AddError, Content, Format};
use service::{Context, DecisionLoop, ServiceError, random};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::time::Duration;
use store::{Displayed, Table, TableError};
use swarm::Stopped;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, interval_at};

/// Time in which arriving records are gathered for one decision.
const GATHER: Duration = Duration::from_millis(500);
/// Interval at which the rows of the history are counted. A minute adds one row.
const COUNT_EVERY: Duration = Duration::from_secs(60);
/// Interval at which the batches are read, to notice that one was lost, such as when the folder of the blocks was erased. A
/// month of history has about 6 MB.
const READ_EVERY: Duration = Duration::from_secs(600);
/// Key of the only row of the table with the state.
const STATE: &str = "state";
/// Message in the log about a batch that was lost.
const LOST: &str = "a batch of the history is no longer in the store, and is made again";

/// Seals the history of this robot.
#[derive(Clone)]
pub(crate) struct Sealing {
    pub(crate) context: Context,
    pub(crate) monitor: SharedMonitor,
    /// Whether the history may be given to collectors.
    pub(crate) is_allowed: bool,
    /// Seconds for which a row waits for others.
    pub(crate) wait: u64,
    /// The state, for requests.
    pub(crate) shown: watch::Sender<Option<BatchState>>,
}

/// Reason why a batch was not made.
#[derive(Debug, thiserror::Error)]
enum SealingError {
    #[error(transparent)]
    Make(#[from] MakeError),
    #[error("the batch cannot be put into IPFS: {0}")]
    Add(#[from] AddError),
    #[error("the batch cannot be pinned: {0}")]
    Pin(#[from] PinError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Monitor(#[from] MonitorFailed),
    #[error(transparent)]
    Stopped(#[from] Stopped),
    #[error("this system gives no random numbers: {0}")]
    Random(#[from] std::io::Error),
    #[error("the swarm has no roots any more")]
    NoFleet,
}

/// The tables on the disk.
struct Tables {
    states: Table<String, BatchState>,
    /// The batches that this node pinned or was about to pin.
    sealed: Table<Displayed<Cid>, ()>,
}

impl Sealing {
    /// Seals the history until the future is dropped.
    ///
    /// # Errors
    /// When the disk fails, or the daemon is stopping.
    pub(crate) async fn run(&self, node: Node) -> Result<Infallible, ServiceError> {
        let tables = Tables { states: self.context.table("batches"), sealed: self.context.table("sealed") };
        let mut decisions = self.begin(&node, &tables).await?;
        let mut copied = self.context.swarm.is_copied();
        let mut timer = interval(COUNT_EVERY);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reading = interval_at(Instant::now() + READ_EVERY, READ_EVERY);
        reading.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            decisions.decider().set_copied(*copied.borrow_and_update());
            let mut is_made = false;
            for action in decisions.decide().await? {
                match action {
                    Action::Save(state) => {
                        self.shown.send_replace(Some(state.clone()));
                        tables.states.write_async(&[(STATE.to_owned(), Some(state))]).await?;
                    }
                    Action::Release(cid) => tables.release(&node, cid).await?,
                    Action::Make(order) => {
                        self.make(&node, &tables, &mut decisions, order).await?;
                        is_made = true;
                    }
                }
            }
            if is_made {
                self.count(&decisions).await?;
                // The next decision announces the batch, and keeps the state.
                continue;
            }
            tokio::select! {
                () = decisions.changed() => {}
                Ok(()) = copied.changed() => {}
                _ = timer.tick() => self.count(&decisions).await?,
                _ = reading.tick() => find_lost(&node, &decisions).await,
            }
        }
    }

    /// Reads the state, and removes what an earlier run left.
    async fn begin(&self, node: &Node, tables: &Tables) -> Result<DecisionLoop<Batching>, ServiceError> {
        let (states, sealed) = (tables.states.clone(), tables.sealed.clone());
        let read = move || Ok::<_, TableError>((states.read(&STATE.to_owned())?, sealed.read_all()?));
        let (kept, sealed) = tokio::task::spawn_blocking(read).await.map_err(ServiceError::other)??;
        let fresh = HistoryId::from_bytes(random().map_err(ServiceError::other)?);
        let mut batching = Batching::new(self.context.swarm.me(), kept, fresh);
        batching.set_allowed(self.is_allowed);
        batching.set_wait(self.wait);
        let pins = node.pins().await.map_err(ServiceError::other)?;
        let mut pinned: BTreeSet<Cid> = pins.into_iter().map(|pin| pin.root).collect();
        for incomplete in node.incomplete_pins().await.map_err(ServiceError::other)? {
            pinned.remove(&incomplete);
        }
        let named = batching.state().outstanding.iter().map(|batch| batch.cid.0);
        let named: BTreeSet<Cid> = named.collect();
        for lost in named.difference(&pinned) {
            tracing::warn!(cid = %lost, "{LOST}");
            batching.lost(lost);
        }
        for (cid, ()) in sealed.readable.into_iter().filter(|(cid, ())| !named.contains(&cid.0)) {
            tables.release(node, cid.0).await?;
        }
        self.shown.send_replace(Some(batching.state().clone()));
        Ok(DecisionLoop::new(self.context.swarm.clone(), batching, is_of_interest, GATHER))
    }

    /// Counts the rows that are in no batch. Without collectors, nobody needs the number, which costs reading the disk.
    async fn count(&self, decisions: &DecisionLoop<Batching>) -> Result<(), ServiceError> {
        let has_collectors = |set: &dcache::Set, now| !recipients(set, now).is_empty();
        if !self.is_allowed || !self.context.swarm.read(has_collectors).await? {
            return Ok(());
        }
        let batched = decisions.decider().batched();
        match self.monitor.run(move |monitor| monitor.pending(batched)).await? {
            Some(Ok(pending)) => decisions.decider().set_pending(pending),
            Some(Err(error)) => tracing::warn!(%error, "the history cannot be read, so it is not sealed"),
            None => {}
        }
        Ok(())
    }

    /// Carries out an order.
    async fn make(
        &self,
        node: &Node,
        tables: &Tables,
        decisions: &mut DecisionLoop<Batching>,
        order: Order,
    ) -> Result<(), ServiceError> {
        match self.sealed(node, tables, order).await {
            Ok(made) => {
                tracing::info!(
                    cid = %made.cid,
                    rows = made.rows,
                    bytes = made.bytes,
                    "a part of the history is sealed for the collectors"
                );
                if !decisions.decider().made(&made) {
                    tables.release(node, made.cid).await?;
                }
            }
            Err(SealingError::Stopped(stopped)) => return Err(stopped.into()),
            Err(error) => {
                tracing::warn!(%error, "no batch of the history was made; it is tried again in ten minutes");
                decisions.decider().failed();
            }
        }
        Ok(())
    }

    async fn sealed(&self, node: &Node, tables: &Tables, order: Order) -> Result<Made, SealingError> {
        let me = self.context.swarm.me();
        let fleet = self.context.swarm.read(|set, _| FleetId::of(set.policy())).await?;
        let fleet = fleet.ok_or(SealingError::NoFleet)?;
        let secret: [u8; SECRET_BYTES] = random()?;
        let make = move |monitor: &mut Monitor| monitor.make_batch(&order, (fleet, me), &secret);
        let batch = self.monitor.run(make).await??;
        let content = Content::Bytes(batch.bytes.clone().into());
        // The result protects the blocks until they are pinned.
        let added = node.add_file(content, Format::V1, watch::Sender::default()).await?;
        tables.sealed.write_async(&[(Displayed(added.root), Some(()))]).await?;
        node.pin(added.root).await?;
        Ok(batch.made(added.root))
    }
}

impl Tables {
    /// Unpins a batch.
    async fn release(&self, node: &Node, cid: Cid) -> Result<(), ServiceError> {
        node.unpin_all(vec![cid]).await.map_err(ServiceError::other)?;
        Ok(self.sealed.write_async(&[(Displayed(cid), None)]).await?)
    }
}

/// Reads the batches. A batch that cannot be read is made again.
async fn find_lost(node: &Node, decisions: &DecisionLoop<Batching>) {
    let batches: Vec<Cid> = decisions.decider().state().outstanding.iter().map(|batch| batch.cid.0).collect();
    for cid in batches {
        if let Err(error) = node.file_size(cid, String::new(), MAX_SEALED_BYTES as u64).await {
            tracing::warn!(%cid, %error, "{LOST}");
            decisions.decider().lost(&cid);
        }
    }
}

/// Returns whether a record in a bucket can change the decisions about batches.
fn is_of_interest(bucket: &BucketPath) -> bool {
    COLLECTORS.contains(bucket) || SEALING_KEY.contains(bucket) || RECEIPTS.contains(bucket)
}
