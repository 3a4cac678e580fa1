//! The switchboard, which passes each command to the task of its channel.

use crate::route::{OutgoingLine, Route};
use routing::{ChannelCommand, ChannelEvent, ChannelId, Target};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Maximum number of addresses queued for dialling.
const MAX_DIALS: usize = 16;

#[derive(Debug)]
struct Inner {
    last: AtomicU64,
    routes: Mutex<BTreeMap<ChannelId, Route>>,
    events: mpsc::Sender<ChannelEvent>,
    dials: mpsc::Sender<SocketAddr>,
    /// Locked by the TCP task while it waits, so that a restarted task can use the queue again.
    dial_requests: tokio::sync::Mutex<mpsc::Receiver<SocketAddr>>,
}

/// Connects the channels with the brain that commands them. Clones are the same switchboard.
#[derive(Clone, Debug)]
pub struct Switchboard(Arc<Inner>);

impl Switchboard {
    /// Returns a switchboard without channels that reports to `events`.
    pub fn new(events: mpsc::Sender<ChannelEvent>) -> Self {
        let (dials, dial_requests) = mpsc::channel(MAX_DIALS);
        Self(Arc::new(Inner {
            last: AtomicU64::new(0),
            routes: Mutex::default(),
            events,
            dials,
            dial_requests: tokio::sync::Mutex::new(dial_requests),
        }))
    }

    /// Carries out a command without waiting.
    pub fn carry_out(&self, command: ChannelCommand) {
        match command {
            ChannelCommand::Send { channel, target, line } => self.send(channel, target, line),
            ChannelCommand::Connect { address } => self.dial(address),
            ChannelCommand::Close { channel } => drop(self.routes().remove(&channel)),
        }
    }

    fn send(&self, channel: ChannelId, target: Target, line: String) {
        let is_sent = match self.routes().get(&channel) {
            Some(Route::Network(queue)) => queue.try_send(OutgoingLine { channel, target, line }).is_ok(),
            Some(Route::Link(queue)) => queue.try_send(line).is_ok(),
            // The channel has just gone down; its `Down` event is on the way.
            None => true,
        };
        if !is_sent {
            tracing::debug!(?channel, "a line was dropped: the queue of its channel is full");
        }
    }

    fn dial(&self, address: SocketAddr) {
        if self.0.dials.try_send(address).is_err() {
            self.report_soon(ChannelEvent::ConnectFailed { address });
        }
    }

    /// Returns the next address to dial. Only the TCP task calls it.
    pub(crate) async fn next_dial(&self) -> Option<SocketAddr> {
        self.0.dial_requests.lock().await.recv().await
    }

    pub(crate) fn new_id(&self) -> ChannelId {
        ChannelId(self.0.last.fetch_add(1, Ordering::Relaxed) + 1)
    }

    pub(crate) fn add(&self, channel: ChannelId, route: Route) {
        self.routes().insert(channel, route);
    }

    pub(crate) fn remove(&self, channel: ChannelId) {
        self.routes().remove(&channel);
    }

    /// Reports an event. Waits while the event queue is full.
    pub async fn report(&self, event: ChannelEvent) {
        // An error means that the receiver is gone, because the daemon is stopping.
        let _ = self.0.events.send(event).await;
    }

    /// Reports an event from code that cannot wait. The event is not lost, even when the event queue is full.
    pub(crate) fn report_soon(&self, event: ChannelEvent) {
        let events = self.0.events.clone();
        // Without a runtime the daemon has stopped.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { events.send(event).await });
        }
    }

    fn routes(&self) -> MutexGuard<'_, BTreeMap<ChannelId, Route>> {
        // No panic can leave the map inconsistent, so a poisoned lock is safe to use.
        self.0.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
