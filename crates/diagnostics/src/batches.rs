//! The part of the service about batches: seals the history of this robot, carries those of others, and collects.

use crate::batch::SealingKey;
use crate::batch::carry::Carried;
use crate::batch::state::BatchState;
use crate::batch::stated::{named_collectors, recipients};
use crate::carrying::Carrier;
use crate::collected::{CollectedError, CollectedRows};
use crate::collecting::Collector;
use crate::exporting::{Exporter, WrongExport};
use crate::points::{self, MAX_PLACED_ROWS, placed_points};
use crate::protocol::{Answer, CarriedBatches, CollectedTotals, CollectorRow, Collectors, OwnBatches};
use crate::row_store::RowStore;
use crate::sealing::Sealing;
use crate::settings::Settings;
use crate::shared_monitor::SharedMonitor;
use cid::Cid;
use dcache::{PeerId, Set, Time};
use ipfs::node::Node;
use service::{Context, Failure, FailureKind, ServiceError};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Name of the file with the rows of other robots in the data folder.
const COLLECTED: &str = "collected.redb";
/// Seconds in a minute.
const MINUTE: u64 = 60;
/// Bytes in a MiB.
const MIB: u64 = 1 << 20;

/// Seals, carries and collects histories.
#[derive(Clone)]
pub(crate) struct Batches {
    context: Context,
    sealing: Sealing,
    carrier: Carrier,
    /// `None` if the identity of this node is not known, as in tests.
    collector: Option<Collector>,
    exports: Vec<Exporter>,
    rows: CollectedRows,
}

impl Batches {
    /// Returns the tasks of a node with these settings. This call blocks.
    ///
    /// # Errors
    /// When an export of the configuration cannot be used.
    pub(crate) fn new(
        context: &Context,
        settings: &Settings,
        monitor: &SharedMonitor,
    ) -> Result<Self, WrongExport> {
        let folder = context.folders.data.clone();
        let rows = CollectedRows::new(folder.join(COLLECTED));
        let sealing = Sealing {
            context: context.clone(),
            monitor: monitor.clone(),
            is_allowed: settings.enabled && settings.keep_history && settings.send_history,
            wait: settings.send_after_minutes.max(1).saturating_mul(MINUTE),
            shown: watch::Sender::default(),
        };
        let limit = settings.carry_mib.saturating_mul(MIB);
        let carrier = Carrier { context: context.clone(), limit, shown: watch::Sender::default() };
        let collector = context.identity.as_ref().map(|identity| Collector {
            context: context.clone(),
            rows: rows.clone(),
            key: SealingKey::of(identity),
            days: settings.collected_days,
            folder,
        });
        let exports = settings
            .export
            .iter()
            .map(|(name, export)| Exporter::new((context.clone(), rows.clone()), name, export));
        let exports = exports.collect::<Result<_, _>>()?;
        Ok(Self { context: context.clone(), sealing, carrier, collector, exports, rows })
    }

    /// Runs all tasks. A task that fails is started again, and does not end the others.
    pub(crate) async fn run(&self) -> Infallible {
        let (sealing, carrier, collector) =
            (self.sealing.clone(), self.carrier.clone(), self.collector.clone());
        let seal = self.with_nodes("sealing of the history", sealing, |sealing, node| async move {
            sealing.run(node).await
        });
        let carry = self.with_nodes("carrying of histories", carrier, |carrier, node| async move {
            carrier.run(node).await
        });
        let collect = async {
            match collector {
                Some(collector) => {
                    let run = |collector: Collector, node| async move { collector.run(node).await };
                    self.with_nodes("collecting of histories", collector, run).await
                }
                None => std::future::pending().await,
            }
        };
        let mut exports = JoinSet::new();
        for export in self.exports.clone() {
            let context = self.context.clone();
            exports.spawn(async move {
                context.supervise("export of histories", move || export.clone().run()).await
            });
        }
        tokio::select! {
            never = seal => never,
            never = carry => never,
            never = collect => never,
        }
    }

    /// Runs a task with each IPFS node in turn.
    async fn with_nodes<T, F>(&self, name: &'static str, task: T, run: fn(T, Node) -> F) -> Infallible
    where
        T: Clone + Send + Sync + 'static,
        F: Future<Output = Result<Infallible, ServiceError>> + Send + 'static,
    {
        let context = self.context.clone();
        let make = move || {
            let (context, task) = (context.clone(), task.clone());
            async move { context.with_node(|node| run(task.clone(), node)).await }
        };
        self.context.supervise(name, make).await
    }
}

/// Functions that answer requests.
impl Batches {
    /// Returns the collectors of the swarm, and the batches of this node.
    ///
    /// # Errors
    /// When the stored rows cannot be read, or the daemon is stopping.
    pub(crate) async fn collectors(&self) -> Result<Answer, Failure> {
        let collectors = self.context.swarm.read(collectors).await?;
        let totals = self.rows.run_if_any(|rows| rows.totals()).await?;
        let waiting = self.waiting().await?;
        let collected = totals.map(|totals| CollectedTotals {
            robots: totals.robots,
            rows: totals.rows,
            unplaced: totals.unplaced,
            waiting,
        });
        let own = own(self.sealing.shown.borrow().as_ref(), self.sealing.is_allowed);
        let carried = carried(&self.carrier.shown.borrow(), self.carrier.limit);
        Ok(Answer::Collectors(Collectors { collectors, own, carried, collected }))
    }

    /// Returns the number of rows that each export has not sent yet.
    async fn waiting(&self) -> Result<BTreeMap<String, u64>, Failure> {
        let names: Vec<String> = self.exports.iter().map(|export| export.name().to_owned()).collect();
        let read = move |rows: &mut RowStore| {
            names.into_iter().map(|name| rows.waiting(&name).map(|waiting| (name, waiting))).collect()
        };
        Ok(self.rows.run_if_any(read).await?.unwrap_or_default())
    }

    /// Returns the latest values of a robot that are stored here.
    ///
    /// # Errors
    /// When there are none, or they cannot be read.
    pub(crate) async fn values(&self, peer: Option<PeerId>) -> Result<Answer, Failure> {
        let robot = peer.unwrap_or_else(|| self.context.swarm.me());
        let latest = self.rows.run_if_any(move |rows| rows.latest(robot)).await?;
        let latest = latest.flatten().ok_or_else(|| nothing(robot))?;
        Ok(Answer::Values { values: points::values(&latest.readings) })
    }

    /// Returns a part of the points of a robot that are stored here.
    ///
    /// # Errors
    /// When there are none, or they cannot be read.
    pub(crate) async fn points(
        &self,
        peer: Option<PeerId>,
        metric: &str,
        seconds: u64,
        after: Option<u64>,
    ) -> Result<Answer, Failure> {
        let robot = peer.unwrap_or_else(|| self.context.swarm.me());
        let moment = self.context.swarm.read_at(|_, now| now).await?;
        let first = moment.time.0.saturating_sub(seconds);
        let from = Time(after.map_or(first, |after| first.max(after.saturating_add(1))));
        let rows = self.rows.run_if_any(move |rows| rows.placed(robot, from, MAX_PLACED_ROWS)).await?;
        let rows = rows.ok_or_else(|| nothing(robot))?;
        Ok(Answer::Points(placed_points(&rows, metric, moment.is_certain)))
    }
}

impl From<CollectedError> for Failure {
    fn from(error: CollectedError) -> Self {
        Self::new(FailureKind::Disk, error)
    }
}

fn nothing(robot: PeerId) -> Failure {
    let message = format!(
        "this node has no history of {robot}: only a collector has histories of other robots; `collectors` shows what it has"
    );
    Failure::new(FailureKind::Refused, message)
}

fn collectors(set: &Set, now: Time) -> Vec<CollectorRow> {
    let keys = recipients(set, now);
    let row = |peer| CollectorRow { peer, has_key: keys.contains_key(&peer) };
    named_collectors(set, now).into_iter().map(row).collect()
}

fn own(state: Option<&BatchState>, is_allowed: bool) -> OwnBatches {
    let Some(state) = state else { return OwnBatches { is_allowed, ..OwnBatches::default() } };
    OwnBatches {
        is_allowed,
        stored: state.base,
        batches: state.outstanding.len() as u64,
        rows: state.outstanding.iter().map(|batch| batch.rows as u64).sum(),
        bytes: state.outstanding.iter().map(|batch| batch.bytes).sum(),
        lost: state.lost,
    }
}

fn carried(batches: &BTreeMap<Cid, Carried>, limit: u64) -> CarriedBatches {
    let robots: BTreeSet<PeerId> = batches.values().map(|batch| batch.robot).collect();
    CarriedBatches {
        limit,
        robots: robots.len() as u64,
        batches: batches.len() as u64,
        bytes: batches.values().map(|batch| batch.bytes).sum(),
    }
}
