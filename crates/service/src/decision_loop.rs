//! Runs a decider in the daemon: waits for a reason to decide, reads the set, and publishes the statements of the
//! decision.

use crate::wake::WakeLimit;
use crate::{Decide, Decision};
use dcache::{BucketPath, PeerId, Record, is_about_roles};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use swarm::{SayError, Stopped, Swarm};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

/// Maximum time between two decisions. A role can change without a record that wakes the decider. Each node has its own
/// time between two thirds of this and all of it. Otherwise robots that were switched on together would decide together.
const MAX_WAIT: Duration = Duration::from_secs(60);
/// Minimum time before a decision about new records, as a multiple of the duration of the last decision.
const IDLE_SHARE: u32 = 10;
/// Maximum wait that [`IDLE_SHARE`] can cause.
const MAX_REST: Duration = Duration::from_secs(2);
/// Time after which statements that could not be published are retried.
const RETRY: Duration = Duration::from_secs(30);

/// The loop of a decider. Its owner waits with [`Self::changed`], alone or together with its own events, and then calls
/// [`Self::decide`].
pub struct DecisionLoop<D> {
    swarm: Swarm,
    decider: Arc<Mutex<D>>,
    changes: broadcast::Receiver<Record>,
    clock: watch::Receiver<u64>,
    limit: WakeLimit,
    is_of_interest: fn(&BucketPath) -> bool,
    gather: Duration,
    wake: Instant,
    /// Maximum time between two decisions of this node.
    max_wait: Duration,
    /// Duration of the last decision.
    took: Duration,
    /// Whether the statements of the last decision exceeded the record quota of this node.
    is_beyond_quota: bool,
}

impl<D: Decide<Action: Send + 'static> + Send + 'static> DecisionLoop<D> {
    /// Creates a loop. It decides when a record arrives for whose bucket `is_of_interest` returns true, or that may
    /// change the holders of roles. Records that arrive within `gather` after the first one lead to one decision.
    pub fn new(swarm: Swarm, decider: D, is_of_interest: fn(&BucketPath) -> bool, gather: Duration) -> Self {
        let (changes, clock, decider) = (swarm.changes(), swarm.clock_sets(), Arc::new(Mutex::new(decider)));
        let (wake, took, is_beyond_quota) = (Instant::now(), Duration::ZERO, false);
        let limit = WakeLimit::new(wake);
        let max_wait = max_wait(swarm.me());
        Self {
            swarm,
            decider,
            changes,
            clock,
            limit,
            is_of_interest,
            gather,
            wake,
            max_wait,
            took,
            is_beyond_quota,
        }
    }

    /// Returns access to the decider, to change its inputs.
    pub fn decider(&self) -> MutexGuard<'_, D> {
        // After a panic, the decider decides again from its inputs, so a poisoned lock is safe to use.
        self.decider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides now, publishes the statements that other peers would accept, and returns the actions.
    ///
    /// # Errors
    /// When the daemon is stopping. Other errors of publishing are logged, and the statements are retried.
    pub async fn decide(&mut self) -> Result<Vec<D::Action>, Stopped> {
        let decider = self.decider.clone();
        let decided = self.swarm.read_at(move |set, now| {
            let mut decider = decider.lock().unwrap_or_else(PoisonError::into_inner);
            let began = Instant::now();
            (decider.decide(set, now), now.time, began.elapsed())
        });
        let (Decision { statements, actions, wake }, now, took) = decided.await?;
        self.took = took;
        // The time of day has a resolution of one second, so a shorter wait would decide again at the same time.
        let wait = wake.map_or(self.max_wait, |wake| Duration::from_secs(wake.since(now).max(1)));
        let wait = match self.swarm.say_what_counts(statements).await {
            Err(SayError::Stopped(stopped)) => return Err(stopped),
            Err(error) => {
                tracing::warn!(%error, "statements of this node could not be published; they will be retried");
                wait.min(RETRY)
            }
            Ok(beyond) => {
                self.note_beyond_quota(beyond);
                wait
            }
        };
        let decided = Instant::now();
        self.wake = (decided + wait.min(self.max_wait)).max(self.limit.earliest(decided));
        Ok(actions)
    }

    /// Logs once when statements begin to exceed the record quota.
    fn note_beyond_quota(&mut self, beyond: usize) {
        if beyond > 0 && !self.is_beyond_quota {
            tracing::warn!(
                beyond,
                "this node has used up its record quota, the records that the swarm remembers of one peer; further \
                 statements are not published"
            );
        }
        self.is_beyond_quota = beyond > 0;
    }

    /// Waits for a reason to decide: a record of interest, the wake-up time of the decider, or a clock change. The
    /// future is cancel-safe: when it is dropped, the next call still sees the reason.
    pub async fn changed(&mut self) {
        tokio::select! {
            () = record_of_interest(&mut self.changes, self.is_of_interest) => {
                // If this future is dropped during the sleep below, the next call returns at once.
                self.wake = Instant::now();
                // After a slow decision the wait is longer, so that decisions use only a small part of the processor time.
                let rest = (self.took * IDLE_SHARE).min(MAX_REST);
                tokio::time::sleep(self.gather.max(rest)).await;
                // All records that arrived meanwhile are covered by the next decision.
                self.changes = self.changes.resubscribe();
            }
            () = tokio::time::sleep_until(self.wake) => self.limit.woken(Instant::now()),
            () = clock_set(&mut self.clock) => self.wake = Instant::now(),
        }
    }
}

/// Returns the maximum time between two decisions of this node.
fn max_wait(me: PeerId) -> Duration {
    let [byte, ..] = *me.public_key();
    MAX_WAIT * (510 + u32::from(byte)) / 765
}

async fn clock_set(clock: &mut watch::Receiver<u64>) {
    if clock.changed().await.is_err() {
        // This cannot happen: the loop holds a handle of the swarm, which holds the sender.
        std::future::pending().await
    }
}

async fn record_of_interest(
    changes: &mut broadcast::Receiver<Record>,
    is_of_interest: fn(&BucketPath) -> bool,
) {
    loop {
        match changes.recv().await {
            Ok(record) if !is_of_interest(&record.item().bucket) && !is_about_roles(&record) => {}
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            // This cannot happen: the loop holds a handle of the swarm, which holds the sender.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_its_own_time_between_forty_and_sixty_seconds() {
        let times: Vec<u64> =
            [0, 1, 128, 255].map(|byte| max_wait(PeerId::from_public_key([byte; 32])).as_secs()).into();
        assert_eq!(times, [40, 40, 50, 60]);
    }
}
