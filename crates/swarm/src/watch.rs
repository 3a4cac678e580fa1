//! Hearing live what changes in the buckets of a pattern.

use crate::handle::{Stopped, Swarm};
use dcache::{Change, Pattern, Record, Subscription};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::broadcast;

/// Several records in this time are looked at together.
const GATHER: Duration = Duration::from_millis(50);
/// How long to wait at most before looking again: roles may change by records that the pattern does not match, and
/// clocks by themselves.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A live subscription to the changes of a pattern.
pub struct Watch {
    swarm: Swarm,
    records: broadcast::Receiver<Record>,
    /// Read in the task that owns the set, one reading at a time.
    subscription: Arc<Mutex<Subscription>>,
    wait: Duration,
}

impl Watch {
    pub(crate) fn new(swarm: Swarm, pattern: Pattern) -> Self {
        let subscription = Arc::new(Mutex::new(Subscription::new(pattern)));
        Self { records: swarm.changes(), swarm, subscription, wait: Duration::ZERO }
    }

    /// The next changes, at least one.
    ///
    /// # Errors
    /// When the daemon is stopping.
    pub async fn next(&mut self) -> Result<Vec<Change>, Stopped> {
        loop {
            self.something_may_have_changed().await;
            let changes = self.look().await?;
            if !changes.is_empty() {
                return Ok(changes);
            }
        }
    }

    async fn something_may_have_changed(&mut self) {
        if tokio::time::timeout(self.wait, self.records.recv()).await.is_ok() {
            tokio::time::sleep(GATHER).await;
            // Whatever else has come by now is looked at together; how much was missed does not matter.
            self.records = self.records.resubscribe();
        }
    }

    async fn look(&mut self) -> Result<Vec<Change>, Stopped> {
        let subscription = self.subscription.clone();
        let looked = self.swarm.read(move |set, now| {
            let mut subscription = subscription.lock().unwrap_or_else(PoisonError::into_inner);
            let changes = subscription.changes(set, now);
            (changes, subscription.next(set, now).map(|next| next.since(now)))
        });
        let (changes, next) = looked.await?;
        self.wait = next.map_or(LOOK_AGAIN, Duration::from_secs).min(LOOK_AGAIN);
        Ok(changes)
    }
}
