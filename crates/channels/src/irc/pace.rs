//! Flood control: limits how fast a node sends.

use std::time::Duration;
use tokio::time::Instant;

/// Maximum number of lines that a new line has to wait for. So a server that asks for many answers does not silence
/// this node for long.
const MAX_OWED: u32 = 8;

/// Rate limit of one line per interval. Urgent lines are sent at once and counted, so that later lines wait for them.
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

    /// Returns when an urgent line may be sent: one interval earlier than the next ordinary line.
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
    fn the_long_term_rate_is_one_line_per_interval() {
        let begun = Instant::now();
        let mut pace = Pace::new(2 * SECOND, begun);
        let mut now = begun;
        for line in 0..100 {
            now = now.max(pace.free());
            assert_eq!(now, begun + 2 * SECOND * line);
            pace.count(now);
        }
        // A line that was sent early delays the next one.
        pace.count(now);
        assert_eq!(pace.free(), now + 4 * SECOND);
        assert_eq!(pace.free_for_control(), now + 2 * SECOND);
        (0..1000).for_each(|_| pace.count(now));
        assert_eq!(pace.free(), now + 16 * SECOND);
    }
}
