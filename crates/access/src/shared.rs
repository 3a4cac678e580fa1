//! The state that the tasks of the service share: the gate, the open streams, and the log.

use crate::copy::Traffic;
use crate::gate::{Gate, StreamNumber};
use crate::judge::Refusal;
use crate::limits::Limits;
use crate::log::UseEnd;
use crate::log_table::LogTable;
use crate::permission::{Permission, PermissionKey};
use crate::protocol::OpenStream;
use dcache::{Moment, PeerId, Set, Time};
use service::{Context, Decide, Decision, ServiceError};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::Table;
use swarm::Stopped;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The state that the tasks of the service share.
pub(crate) struct Shared {
    pub(crate) context: Context,
    pub(crate) limits: Limits,
    pub(crate) log: LogTable,
    pub(crate) table: Table<PermissionKey, Permission>,
    /// Held while permissions are changed, so that the disk and the memory agree.
    pub(crate) writing: tokio::sync::Mutex<()>,
    /// Notifies the decision loop of a stream that began.
    pub(crate) began: Notify,
    pub(crate) gate: SharedGate,
    streams: Mutex<BTreeMap<StreamNumber, Running>>,
    next_number: AtomicU64,
}

/// The gate, which the tasks of the service and its decision loop share.
#[derive(Clone, Default)]
pub(crate) struct SharedGate(Arc<Mutex<Gate>>);

struct Running {
    peer: PeerId,
    port: u16,
    from: Time,
    traffic: Arc<Traffic>,
    revoked: CancellationToken,
}

/// A stream in the list of open streams. Dropping it removes it.
struct Listed {
    shared: Arc<Shared>,
    number: StreamNumber,
}

/// A permitted stream of a peer. Dropping it writes its end to the log.
pub(crate) struct PermittedStream {
    listed: Listed,
    use_number: u64,
    began: (Time, Instant),
    pub(crate) traffic: Arc<Traffic>,
    /// Is cancelled when the stream is no longer permitted.
    pub(crate) revoked: CancellationToken,
    /// How the stream ended.
    pub(crate) end: UseEnd,
}

impl SharedGate {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Gate> {
        // Each change is a single call that leaves the gate consistent, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Decide for SharedGate {
    type Action = (StreamNumber, Refusal);

    fn decide(&mut self, set: &Set, now: Moment) -> Decision<Self::Action> {
        self.lock().decide(set, now)
    }
}

impl Shared {
    /// Reads the state from the disk. This call blocks.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn open(context: Context) -> Result<Self, ServiceError> {
        let table: Table<PermissionKey, Permission> = context.table("permissions");
        let permissions = table.read_all()?.readable.into_iter().map(|(_, permission)| permission);
        let gate = SharedGate(Arc::new(Mutex::new(Gate::new(permissions))));
        Ok(Self {
            limits: Limits::default(),
            log: LogTable::open(&context)?,
            context,
            table,
            writing: tokio::sync::Mutex::default(),
            began: Notify::new(),
            gate,
            streams: Mutex::default(),
            next_number: AtomicU64::default(),
        })
    }

    /// Judges whether a peer may reach any port.
    pub(crate) async fn judge_any(&self, peer: PeerId) -> Result<Result<(), Refusal>, Stopped> {
        let gate = self.gate.clone();
        self.context.swarm.read_at(move |set, now| gate.lock().judge(set, peer, None, now)).await
    }

    /// Begins a stream if the peer may reach the port. Otherwise notes the refusal.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        peer: PeerId,
        port: u16,
    ) -> Result<Result<PermittedStream, Refusal>, Stopped> {
        let (traffic, revoked) = (Arc::new(Traffic::default()), CancellationToken::new());
        let listed = self.list(Running {
            peer,
            port,
            from: Time(0),
            traffic: traffic.clone(),
            revoked: revoked.clone(),
        });
        let (gate, number) = (self.gate.clone(), listed.number);
        let judge = move |set: &Set, now: Moment| {
            // The stream is in the gate before it is judged, so a change after this judgement ends it.
            let mut gate = gate.lock();
            gate.begin(number, peer, port);
            (gate.judge(set, peer, Some(port), now), now.time)
        };
        let (judged, now) = self.context.swarm.read_at(judge).await?;
        if let Err(refusal) = judged {
            self.refuse(peer, Some(port), refusal, now);
            return Ok(Err(refusal));
        }
        self.lock().entry(number).and_modify(|running| running.from = now);
        self.began.notify_one();
        let use_number = self.log.begin(peer, port, now);
        tracing::info!(%peer, port, "a peer uses a port of this robot");
        let (began, end) = ((now, Instant::now()), UseEnd::Closed);
        Ok(Ok(PermittedStream { listed, use_number, began, traffic, revoked, end }))
    }

    /// Notes a refusal.
    pub(crate) fn refuse(&self, peer: PeerId, port: Option<u16>, reason: Refusal, now: Time) {
        tracing::debug!(%peer, port, %reason, "a peer may not use a port of this robot");
        self.log.refuse(peer, port, reason, now);
    }

    fn list(self: &Arc<Self>, running: Running) -> Listed {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(number, running);
        Listed { shared: self.clone(), number }
    }

    /// Ends the streams that are no longer permitted, and returns their number.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub(crate) async fn judge_again(&self) -> Result<usize, Stopped> {
        let mut gate = self.gate.clone();
        let decision = self.context.swarm.read_at(move |set, now| gate.decide(set, now)).await?;
        Ok(self.revoke(decision.actions))
    }

    /// Ends these streams, and returns the number of those that were open.
    pub(crate) fn revoke(&self, streams: Vec<(StreamNumber, Refusal)>) -> usize {
        let running = self.lock();
        let mut ended = 0;
        for (number, reason) in streams {
            let Some(stream) = running.get(&number) else { continue };
            if !stream.revoked.is_cancelled() {
                tracing::info!(peer = %stream.peer, port = stream.port, %reason, "a stream is ended");
                stream.revoked.cancel();
                ended += 1;
            }
        }
        ended
    }

    /// Returns the permitted streams that are open.
    pub(crate) fn open_streams(&self) -> Vec<OpenStream> {
        let running = self.lock();
        let permitted = running.values().filter(|stream| stream.from > Time(0));
        let row = |stream: &Running| {
            let (sent, received) = stream.traffic.bytes();
            OpenStream { peer: stream.peer, port: stream.port, from: stream.from, sent, received }
        };
        permitted.map(row).collect()
    }

    /// Returns the present time.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub(crate) async fn now(&self) -> Result<Moment, Stopped> {
        self.context.swarm.read_at(|_, now| now).await
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StreamNumber, Running>> {
        // Each change is a single call that leaves the map consistent, so a poisoned lock is safe to use.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.shared.lock().remove(&self.number);
        self.shared.gate.lock().end(self.number);
    }
}

impl Drop for PermittedStream {
    fn drop(&mut self) {
        let (time, instant) = self.began;
        let now = time.plus(instant.elapsed().as_secs());
        let end = if self.revoked.is_cancelled() { UseEnd::TakenBack } else { self.end };
        self.listed.shared.log.end(self.use_number, end, now, self.traffic.bytes());
    }
}
