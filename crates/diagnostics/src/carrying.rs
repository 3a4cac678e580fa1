//! Carries sealed batches of other robots to the collectors: fetches, pins and serves them.

use crate::batch::carry::{Carried, CarryAction, Carrying, holders, is_of_interest};
use cid::Cid;
use dcache::{PeerId, Set, Time};
use ipfs::node::{FetchError, FetchLimits, FetchProgress, Node, PinError, Provider};
use service::{Context, DecisionLoop, ServiceError, choose_holders, provider};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;
use store::{Displayed, Table};
use swarm::{Stopped, Swarm};
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

/// Time in which arriving records are gathered for one decision.
const GATHER: Duration = Duration::from_millis(500);
/// Time without a block after which a fetch fails and is tried again later.
const STALL: Duration = Duration::from_secs(30);
/// Number of bytes that are allowed beside the content of a batch: for the node that lists its blocks.
const OVERHEAD: u64 = 64 * 1024;
/// Minimum size, in bytes, of the blocks of a batch, except the last one.
const SMALLEST_BLOCK: u64 = 16 * 1024;

/// Carries batches of other robots.
#[derive(Clone)]
pub(crate) struct Carrier {
    pub(crate) context: Context,
    /// Maximum number of bytes of all batches.
    pub(crate) limit: u64,
    /// The batches that are here, for requests.
    pub(crate) shown: watch::Sender<BTreeMap<Cid, Carried>>,
}

/// Reason why a batch was not taken.
#[derive(Debug, thiserror::Error)]
enum CarryError {
    #[error(transparent)]
    Fetch(#[from] FetchBatchError),
    #[error("it cannot be pinned: {0}")]
    Pin(#[from] PinError),
}

/// The batches that are being fetched.
#[derive(Default)]
struct Fetches {
    tasks: JoinSet<Result<(), CarryError>>,
    running: BTreeMap<Id, Running>,
}

struct Running {
    cid: Cid,
    carried: Carried,
    task: AbortHandle,
    is_cancelled: bool,
}

impl Carrier {
    /// Carries batches until the future is dropped.
    ///
    /// # Errors
    /// When the disk fails, or the daemon is stopping.
    pub(crate) async fn run(&self, node: Node) -> Result<Infallible, ServiceError> {
        let table: Table<Displayed<Cid>, Carried> = self.context.table("carried");
        let swarm = self.context.swarm.clone();
        let kept = self.begin(&node, &table).await?;
        let carrying = Carrying::new(swarm.me(), self.limit, kept);
        let mut decisions = DecisionLoop::new(swarm.clone(), carrying, is_of_interest, GATHER);
        let mut fetches = Fetches::default();
        loop {
            let actions = decisions.decide().await?;
            let is_done = actions.is_empty();
            for action in actions {
                match action {
                    CarryAction::Fetch(cid, carried) => {
                        table.write_async(&[(Displayed(cid), Some(carried))]).await?;
                        fetches.begin(&node, &swarm, cid, carried);
                    }
                    CarryAction::Cancel(cid) => fetches.cancel(&cid),
                    CarryAction::Drop(cid) => {
                        self.release(&node, &table, cid).await?;
                        decisions.decider().dropped(&cid);
                    }
                }
            }
            self.shown.send_replace(decisions.decider().carried().clone());
            if !is_done {
                continue;
            }
            tokio::select! {
                () = decisions.changed() => {}
                Some(ended) = fetches.tasks.join_next_with_id() => {
                    self.ended((&node, &table), &decisions, &mut fetches, ended).await?;
                }
            }
        }
    }

    /// Returns the batches that an earlier run pinned, and forgets others.
    async fn begin(
        &self,
        node: &Node,
        table: &Table<Displayed<Cid>, Carried>,
    ) -> Result<BTreeMap<Cid, Carried>, ServiceError> {
        let rows = table.clone();
        let rows =
            tokio::task::spawn_blocking(move || rows.read_all()).await.map_err(ServiceError::other)??;
        let pins = node.pins().await.map_err(ServiceError::other)?;
        let pinned: BTreeSet<Cid> = pins.into_iter().map(|pin| pin.root).collect();
        let (kept, lost): (Vec<_>, Vec<_>) =
            rows.readable.into_iter().partition(|(cid, _)| pinned.contains(&cid.0));
        let lost: Vec<_> = lost.into_iter().map(|(cid, _)| (cid, None)).collect();
        table.write_async(&lost).await?;
        Ok(kept.into_iter().map(|(cid, carried)| (cid.0, carried)).collect())
    }

    async fn release(
        &self,
        node: &Node,
        table: &Table<Displayed<Cid>, Carried>,
        cid: Cid,
    ) -> Result<(), ServiceError> {
        tracing::info!(%cid, "a carried batch is not needed any more");
        node.unpin_all(vec![cid]).await.map_err(ServiceError::other)?;
        Ok(table.write_async(&[(Displayed(cid), None)]).await?)
    }

    async fn ended(
        &self,
        (node, table): (&Node, &Table<Displayed<Cid>, Carried>),
        decisions: &DecisionLoop<Carrying>,
        fetches: &mut Fetches,
        ended: Result<(Id, Result<(), CarryError>), JoinError>,
    ) -> Result<(), ServiceError> {
        let (id, result) = match ended {
            Ok((id, result)) => (id, result.map_err(|error| error.to_string())),
            Err(error) => (error.id(), Err(error.to_string())),
        };
        let Some(Running { cid, carried, is_cancelled, .. }) = fetches.running.remove(&id) else {
            return Ok(());
        };
        if is_cancelled {
            // The batch may be pinned already.
            return self.release(node, table, cid).await;
        }
        match result {
            Ok(()) => {
                tracing::info!(%cid, robot = %carried.robot, bytes = carried.bytes, "a sealed history is carried to the collectors");
                decisions.decider().kept(cid, carried);
            }
            Err(error) => {
                tracing::debug!(%cid, error, "a batch could not be fetched; it is tried again later");
                let now = self.context.swarm.read(|_, now| now).await?;
                decisions.decider().failed(cid, now);
                table.write_async(&[(Displayed(cid), None)]).await?;
            }
        }
        Ok(())
    }
}

impl Fetches {
    fn begin(&mut self, node: &Node, swarm: &Swarm, cid: Cid, carried: Carried) {
        let (node, swarm) = (node.clone(), swarm.clone());
        let task = self.tasks.spawn(async move {
            // The result protects the blocks until they are pinned.
            let _fetched = fetch(&node, &swarm, (cid, carried.robot), carried.bytes).await?;
            node.pin(cid).await?;
            Ok(())
        });
        self.running.insert(task.id(), Running { cid, carried, task, is_cancelled: false });
    }

    fn cancel(&mut self, cid: &Cid) {
        for running in self.running.values_mut().filter(|running| running.cid == *cid) {
            running.is_cancelled = true;
            running.task.abort();
        }
    }
}

/// Reason why a batch could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchBatchError {
    /// The batch did not arrive, or has another size.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Fetches a batch of at most this size, from its robot, its carriers and all connected peers.
///
/// # Errors
/// When the batch is larger, does not arrive, or the daemon is stopping.
pub(crate) async fn fetch(
    node: &Node,
    swarm: &Swarm,
    (cid, robot): (Cid, PeerId),
    bytes: u64,
) -> Result<ipfs::node::Fetched, FetchBatchError> {
    let me = swarm.me();
    let providers = swarm.read(move |set, now| providers(set, robot, me, now)).await?;
    let max_blocks = usize::try_from(bytes / SMALLEST_BLOCK).unwrap_or(usize::MAX).saturating_add(16);
    let limits = FetchLimits {
        max_bytes: bytes.saturating_add(OVERHEAD),
        max_blocks,
        stall_timeout: STALL,
        priority: 0,
    };
    Ok(node.fetch(cid, providers, limits, watch::Sender::<FetchProgress>::default()).await?)
}

fn providers(set: &Set, robot: PeerId, me: PeerId, now: Time) -> Vec<Provider> {
    let mut peers = holders(set, robot, now);
    peers.retain(|peer| *peer != me && !set.is_denied(*peer, now));
    choose_holders(peers, me, now).into_iter().filter_map(|peer| provider(set, peer, now)).collect()
}
