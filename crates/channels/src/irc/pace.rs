//! Flood control: how fast a node speaks.

use std::time::Duration;
use tokio::time::Instant;

/// The most lines for which later ones wait: a server that asks for many answers does not silence this node for long.
const MAX_OWED: u32 = 8;

/// Allows one line in an interval. What cannot wait is sent at once and counted, so that later lines wait for it.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    free: Instant,
}

impl Pace {
    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, free: now }
    }

    /// Returns when the next line may be sent.
    pub(crate) fn free(&self) -> Instant {
        self.free
    }

    /// Returns when something may be sent that should not wait behind lines: one line earlier.
    pub(crate) fn free_for_control(&self) -> Instant {
        self.free.checked_sub(self.interval).unwrap_or(self.free)
    }

    /// Counts a line that was sent.
    pub(crate) fn count(&mut self, now: Instant) {
        self.free = (self.free.max(now) + self.interval).min(now + self.interval * MAX_OWED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn in_the_long_run_one_line_in_an_interval() {
        let begun = Instant::now();
        let mut pace = Pace::new(2 * SECOND, begun);
        let mut now = begun;
        for line in 0..100 {
            now = now.max(pace.free());
            assert_eq!(now, begun + 2 * SECOND * line);
            pace.count(now);
        }
        // What was sent at once is made up for.
        pace.count(now);
        assert_eq!(pace.free(), now + 4 * SECOND);
        assert_eq!(pace.free_for_control(), now + 2 * SECOND);
        (0..1000).for_each(|_| pace.count(now));
        assert_eq!(pace.free(), now + 16 * SECOND);
    }
}
