//! The switchboard: leads each command to the task of its channel.

use crate::route::{OutgoingLine, Route};
use routing::{ChannelCommand, ChannelEvent, ChannelId, Target};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// How many connections may wait to be dialled.
const MAX_DIALS: usize = 16;

#[derive(Debug)]
struct Inner {
    last: AtomicU64,
    routes: Mutex<BTreeMap<ChannelId, Route>>,
    events: mpsc::Sender<ChannelEvent>,
    dials: mpsc::Sender<SocketAddr>,
    /// Taken out by the TCP task while it runs, so that a restarted one finds it again.
    dial_requests: tokio::sync::Mutex<mpsc::Receiver<SocketAddr>>,
}

/// Connects the channels with the brain that commands them; a clone is the same switchboard.
#[derive(Clone, Debug)]
pub struct Switchboard(Arc<Inner>);

impl Switchboard {
    /// A switchboard without channels, which reports to `events`.
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

    /// Carries out a command, without waiting.
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
            // The channel went down a moment ago; its event is on the way.
            None => true,
        };
        if !is_sent {
            tracing::debug!(?channel, "a line was lost: too many are waiting on its channel");
        }
    }

    fn dial(&self, address: SocketAddr) {
        if self.0.dials.try_send(address).is_err() {
            self.report_soon(ChannelEvent::ConnectFailed { address });
        }
    }

    /// Addresses to dial, one after the other; for the TCP task alone.
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

    /// Reports an event, and waits while too many are unread.
    pub async fn report(&self, event: ChannelEvent) {
        // Nobody listens any more: the daemon is stopping.
        let _ = self.0.events.send(event).await;
    }

    /// Reports an event from where waiting is impossible. It is not lost, even when too many are unread just now.
    pub(crate) fn report_soon(&self, event: ChannelEvent) {
        let events = self.0.events.clone();
        // Without a runtime the daemon has stopped.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { events.send(event).await });
        }
    }

    fn routes(&self) -> MutexGuard<'_, BTreeMap<ChannelId, Route>> {
        // The map is whole at every moment at which a panic could happen.
        self.0.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
