//! The rows that another database acknowledged a short time ago.
//!
//! A database that is killed can lose rows that it acknowledged: `VictoriaMetrics` has the rows of its last five seconds only
//! in memory. So when a request fails, the rows of the last [`SETTLED`] are sent again.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Time after which a database has written what it acknowledged. It is several times that of `VictoriaMetrics` and of the page
/// cache of Linux, which writes after 5 to 30 seconds.
const SETTLED: Duration = Duration::from_secs(30);

/// The rows that may be lost when the database fails.
#[derive(Debug, Default)]
pub(crate) struct Unsettled(VecDeque<(Instant, u64)>);

impl Unsettled {
    /// Notes that the database has acknowledged the rows from a number of the log on.
    pub(crate) fn note(&mut self, now: Instant, first: u64) {
        self.forget(now);
        self.0.push_back((now, first));
    }

    /// Returns the number of the first row that may be lost because a request failed, which began at a moment. After that,
    /// no row is unsettled.
    pub(crate) fn take(&mut self, begun: Instant) -> Option<u64> {
        self.forget(begun);
        let first = self.0.iter().map(|(_, first)| *first).min();
        self.0.clear();
        first
    }

    fn forget(&mut self, now: Instant) {
        self.0.retain(|(then, _)| now.saturating_duration_since(*then) < SETTLED);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_failure_the_rows_of_the_last_seconds_are_sent_once_more() {
        let (start, mut unsettled) = (Instant::now(), Unsettled::default());
        let at = |seconds| start + Duration::from_secs(seconds);
        for (seconds, first) in [(0, 0), (10, 500), (35, 1000)] {
            unsettled.note(at(seconds), first);
        }
        assert_eq!(unsettled.take(at(36)), Some(500), "the first rows are settled");
        assert_eq!(unsettled.take(at(37)), None, "the second failure of the same outage");
        unsettled.note(at(40), 500);
        assert_eq!(unsettled.take(at(71)), None);
    }
}
