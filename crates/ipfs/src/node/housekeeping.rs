//! When the driver tidies up: soon after something happened, now and then while peers are connected, and else not at all.
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Time between something that happens and the tidying that follows it, which is done for all that happens meanwhile.
const GATHER: Duration = Duration::from_secs(1);
/// Share of the shortest time limit of a connection by which the end of an unused one may be late.
const LATENESS: u32 = 4;

/// The time of the next tidying.
#[derive(Debug)]
pub(super) struct Housekeeping {
    due: Option<Instant>,
    rest: Duration,
}

impl Housekeeping {
    /// The first tidying comes after something happened. `shortest` is the shortest time limit of an unused connection.
    pub(super) fn new(shortest: Duration) -> Self {
        Self { due: None, rest: (shortest / LATENESS).max(GATHER) }
    }

    /// Notes that something happened.
    pub(super) fn happened(&mut self) {
        let soon = Instant::now() + GATHER;
        self.due = Some(self.due.map_or(soon, |due| due.min(soon)));
    }

    /// Notes that all is tidy. `is_occupied` tells whether that changes by the passing of time.
    pub(super) fn done(&mut self, is_occupied: bool) {
        self.due = is_occupied.then(|| Instant::now() + self.rest);
    }

    /// Waits for the next tidying. May be cancelled at any time.
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

    /// Returns how long the next tidying is waited for, up to an hour.
    async fn waited(housekeeping: &Housekeeping) -> Duration {
        let begun = Instant::now();
        let _ = timeout(HOUR, housekeeping.wait()).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_to_which_nothing_happens_does_not_tidy_up() {
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
    async fn what_happens_all_the_time_does_not_put_it_off() {
        let mut housekeeping = Housekeeping::new(Duration::from_secs(1));
        housekeeping.happened();
        tokio::time::advance(GATHER / 2).await;
        housekeeping.happened();
        assert_eq!(waited(&housekeeping).await, GATHER / 2);
    }
}
