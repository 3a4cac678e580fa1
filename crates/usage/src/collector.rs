//! The collector: takes the messages of robots, counts reports, and deletes them again.

use crate::collected::{Collected, CollectedKey, RowChange, SenderLimits};
use crate::reporter::is_collector;
use crate::send::read_line;
use crate::totals::{WeekTotals, totals};
use crate::wire::{Message, PROTOCOL, RefusalCode, Reply};
use dcache::{Moment, PeerId, Set, Time};
use ipfs::node::{Node, ServiceStream};
use service::{Context, ServiceError};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use store::{Table, TableError};
use telemetry::Metric;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};

/// Maximum number of streams at a time. Further streams are reset.
const MAX_TASKS: usize = 32;
/// Timeout for the message of a robot, and for sending the answer.
const MESSAGE: Duration = Duration::from_secs(10);
/// Interval at which old rows are removed.
const CLEAN_EVERY: Duration = Duration::from_secs(24 * 3600);

pub(crate) static COUNTED: Metric =
    Metric::counter("usage.counted", "{report}", "Reports of other robots that this collector took.");
pub(crate) static FORGOTTEN: Metric = Metric::counter(
    "usage.forgotten",
    "{report}",
    "Requests of other robots to delete a report that this collector fulfilled.",
);
pub(crate) static REFUSED: Metric =
    Metric::counter("usage.refused", "{message}", "Messages of other robots that this collector refused.");

/// The state of a collector. Every node has it, and it stays empty on the others.
pub(crate) struct Collector {
    context: Context,
    table: Table<CollectedKey, u32>,
    /// Locked while a message is handled, so that the disk and the memory agree.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    collected: Collected,
    limits: SenderLimits,
}

impl Collector {
    /// Reads the rows from the disk. This call blocks.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn open(context: Context) -> Result<Self, TableError> {
        let table: Table<CollectedKey, u32> = context.table("collected");
        let (collected, _) = Collected::new(table.read_all()?.readable, Time(0));
        Ok(Self { context, table, state: Mutex::new(State { collected, ..State::default() }) })
    }

    /// Returns the totals of the latest weeks.
    pub(crate) async fn totals(&self, minimum: u32, weeks: usize) -> Vec<WeekTotals> {
        totals(&self.state.lock().await.collected, minimum, weeks)
    }

    /// Removes rows that are too old, once a day.
    pub(crate) async fn clean(&self) -> Result<Infallible, ServiceError> {
        let mut days = interval(CLEAN_EVERY);
        loop {
            days.tick().await;
            let now = self.context.swarm.read_at(|_, now| now).await?;
            if now.is_certain {
                self.remove_old(now.time).await?;
            }
        }
    }

    async fn remove_old(&self, now: Time) -> Result<(), ServiceError> {
        let mut state = self.state.lock().await;
        if state.collected == Collected::default() {
            return Ok(());
        }
        let table = self.table.clone();
        let rows =
            tokio::task::spawn_blocking(move || table.read_all()).await.map_err(ServiceError::other)??;
        let (collected, old) = Collected::new(rows.readable, now);
        self.table.write_async(&old).await?;
        state.collected = collected;
        Ok(())
    }

    /// Serves the streams that peers open, until the node stops.
    pub(crate) async fn serve(self: Arc<Self>, node: Node) -> Infallible {
        let mut inbound = node.accept_streams(PROTOCOL);
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                Some(stream) = inbound.next() => {
                    if tasks.len() < MAX_TASKS {
                        tasks.spawn(self.clone().serve_stream(stream));
                    }
                }
                Some(_) = tasks.join_next() => {}
                // The node has stopped. The next one is served by another call.
                else => std::future::pending().await,
            }
        }
    }

    async fn serve_stream(self: Arc<Self>, mut stream: ServiceStream) {
        // Robots have an Ed25519 key.
        let Ok(peer) = stream.peer.to_string().parse::<PeerId>() else { return };
        let reply = match self.handle(peer, &mut stream).await {
            Ok(Some(reply)) => reply,
            Ok(None) => return,
            Err(reason) => {
                self.context.count(&REFUSED, 1);
                Reply::Refused { reason }
            }
        };
        // The peer may be gone. Then it asks again.
        let answer = async {
            stream.writer.write_all(&reply.encode()).await?;
            stream.writer.close().await
        };
        let _ = timeout(MESSAGE, answer).await;
    }

    /// Handles the message of a stream. Returns `None` if none arrived.
    async fn handle(&self, peer: PeerId, stream: &mut ServiceStream) -> Result<Option<Reply>, RefusalCode> {
        let me = self.context.swarm.me();
        let facts = move |set: &Set, now: Moment| {
            (is_collector(set, me, now.time) && !set.is_denied(peer, now.time), now)
        };
        let (is_for_peer, now) = self.context.swarm.read_at(facts).await.map_err(|_| RefusalCode::Later)?;
        self.state.lock().await.limits.message(peer, now.time)?;
        let Ok(Ok(line)) = timeout(MESSAGE, read_line(&mut stream.reader)).await else { return Ok(None) };
        match Message::decode(&line).map_err(|_| RefusalCode::NotUnderstood)? {
            Message::Report(_) if !is_for_peer => Err(RefusalCode::NotHere),
            message => self.take(peer, message, now).await.map(Some),
        }
    }

    async fn take(&self, peer: PeerId, message: Message, now: Moment) -> Result<Reply, RefusalCode> {
        let mut state = self.state.lock().await;
        match message {
            Message::Report(payload) => {
                let is_known = self.is_known(CollectedKey::Id(payload.week(), payload.id())).await?;
                // A robot that repeats a report has missed the confirmation.
                if is_known {
                    return Ok(Reply::Counted {});
                }
                state.limits.may_report(payload.week(), peer)?;
                let changes = state.collected.count(&payload, now)?;
                self.write(&mut state, changes).await?;
                state.limits.reported(payload.week(), peer);
                self.context.count(&COUNTED, 1);
                Ok(Reply::Counted {})
            }
            Message::Forget(secret, payload) => {
                let is_known = self.is_known(CollectedKey::Id(payload.week(), payload.id())).await?;
                let changes = state.collected.forget(&payload, &secret, is_known)?;
                self.write(&mut state, changes).await?;
                state.limits.forgotten(payload.week(), peer);
                self.context.count(&FORGOTTEN, 1);
                Ok(Reply::Forgotten {})
            }
        }
    }

    async fn is_known(&self, id: CollectedKey) -> Result<bool, RefusalCode> {
        let table = self.table.clone();
        let read = tokio::task::spawn_blocking(move || table.read(&id)).await;
        match read {
            Ok(Ok(row)) => Ok(row.is_some()),
            Ok(Err(error)) => Err(later(&error)),
            Err(error) => Err(later(&error)),
        }
    }

    async fn write(&self, state: &mut State, changes: Vec<RowChange>) -> Result<(), RefusalCode> {
        if !changes.is_empty() {
            self.table.write_async(&changes).await.map_err(|error| later(&error))?;
            state.collected.apply(&changes);
        }
        Ok(())
    }
}

fn later(error: &dyn std::fmt::Display) -> RefusalCode {
    tracing::warn!(%error, "usage statistics of other robots cannot be counted");
    RefusalCode::Later
}
