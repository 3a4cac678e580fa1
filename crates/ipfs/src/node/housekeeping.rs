//! Schedules the housekeeping of the driver: soon after an event, at regular intervals while peers are connected, and
//! otherwise not at all.
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Time from an event to the housekeeping that follows it. All events in this time share one run.
const GATHER: Duration = Duration::from_secs(1);
/// The interval of regular housekeeping is the shortest idle timeout of a connection divided by this number. An unused
/// connection is thus closed at most this interval after its timeout.
const LATENESS: u32 = 4;

/// The schedule of the next run.
#[derive(Debug)]
pub(super) struct Housekeeping {
    due: Option<Instant>,
    rest: Duration,
}

impl Housekeeping {
    /// Creates a schedule whose first run follows the first event. `shortest` is the shortest idle timeout of a
    /// connection.
    pub(super) fn new(shortest: Duration) -> Self {
        Self { due: None, rest: (shortest / LATENESS).max(GATHER) }
    }

    /// Records an event.
    pub(super) fn happened(&mut self) {
        let soon = Instant::now() + GATHER;
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    /// Records that a run has finished. `is_occupied` says whether another run is needed at the regular interval even
    /// without a new event.
    pub(super) fn done(&mut self, is_occupied: bool) {
        self.due = is_occupied.then(|| Instant::now() + self.rest);
    }

    /// Waits for the next run. Cancel safe.
    pub(super) async fn wait(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::timeout;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Returns the time until the next run, at most one hour.
    async fn waited(housekeeping: &Housekeeping) -> Duration {
        let begun = Instant::now();
        let _ = timeout(HOUR, housekeeping.wait()).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_node_does_no_housekeeping() {
        let mut housekeeping = Housekeeping::new(Duration::from_secs(60));
        assert_eq!(waited(&housekeeping).await, HOUR);
        housekeeping.happened();
        assert_eq!(waited(&housekeeping).await, GATHER);
        housekeeping.done(true);
        assert_eq!(waited(&housekeeping).await, Duration::from_secs(15));
        housekeeping.done(false);
        assert_eq!(waited(&housekeeping).await, HOUR);
    }

    #[tokio::test(start_paused = true)]
    async fn frequent_events_do_not_delay_housekeeping() {
        let mut housekeeping = Housekeeping::new(Duration::from_secs(1));
        housekeeping.happened();
        tokio::time::advance(GATHER / 2).await;
        housekeeping.happened();
        assert_eq!(waited(&housekeeping).await, GATHER / 2);
    }
}
