//! Limits the rate of the wake-ups that a decider requests, by a token bucket.

use std::time::Duration;
use tokio::time::Instant;

/// Maximum number of wake-ups in a burst, which come exactly as the decider requests them.
const BURST: u32 = 16;
/// Minimum mean time between wake-ups beyond the burst. Wake-ups depend on the validity of records. Without the limit,
/// a peer that makes many records could keep every decider of a network busy.
const EVERY: Duration = Duration::from_secs(5);

/// Limits the wake-ups of one decider.
#[derive(Debug)]
pub(crate) struct WakeLimit {
    /// Time at which the bucket is full again. Each wake-up moves it forward by [`EVERY`].
    used_until: Instant,
}

impl WakeLimit {
    pub(crate) fn new(now: Instant) -> Self {
        Self { used_until: now }
    }

    /// Returns the earliest time at which the next wake-up is allowed.
    pub(crate) fn earliest(&self, now: Instant) -> Instant {
        self.used_until.checked_sub(EVERY * (BURST - 1)).map_or(now, |earliest| earliest.max(now))
    }

    /// Notes a wake-up.
    pub(crate) fn woken(&mut self, now: Instant) {
        self.used_until = self.used_until.max(now) + EVERY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decider_that_requests_a_wake_up_every_second_is_soon_rate_limited() {
        let start = Instant::now();
        let mut limit = WakeLimit::new(start);
        let (mut now, mut wakes) = (start, Vec::new());
        while now < start + Duration::from_secs(3600) {
            now = limit.earliest(now).max(now + Duration::from_secs(1));
            limit.woken(now);
            wakes.push(now - start);
        }
        let first = Duration::from_secs(10);
        assert_eq!(
            wakes.iter().filter(|at| **at <= first).count(),
            10,
            "the first wake-ups come at the requested times"
        );
        assert!(wakes.len() < 3600 / 5 + 20, "{} wake-ups in an hour", wakes.len());
        now += Duration::from_secs(300);
        assert_eq!(limit.earliest(now), now, "after a pause, wake-ups come at the requested times again");
    }
}
