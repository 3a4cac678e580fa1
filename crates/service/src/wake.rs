//! How often the times that a decider names may wake it.

use std::time::Duration;
use tokio::time::Instant;

/// Wake-ups that may follow each other as closely as the decider names them.
const BURST: u32 = 16;
/// Mean time between wake-ups beyond the burst. Records of others decide when something begins or ceases to hold, so
/// whoever makes many of them could otherwise keep every decider of a network busy.
const EVERY: Duration = Duration::from_secs(5);

/// Limits the wake-ups of one decider.
#[derive(Debug)]
pub(crate) struct WakeLimit {
    /// Time until which wake-ups are used up, at one every [`EVERY`].
    used_until: Instant,
}

impl WakeLimit {
    pub(crate) fn new(now: Instant) -> Self {
        Self { used_until: now }
    }

    /// Returns the earliest time of the next wake-up.
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
    fn a_decider_that_always_names_the_next_second_is_woken_that_fast_only_for_a_while() {
        let start = Instant::now();
        let mut limit = WakeLimit::new(start);
        let (mut now, mut wakes) = (start, Vec::new());
        while now < start + Duration::from_secs(3600) {
            now = limit.earliest(now).max(now + Duration::from_secs(1));
            limit.woken(now);
            wakes.push(now - start);
        }
        let first = Duration::from_secs(10);
        assert_eq!(wakes.iter().filter(|at| **at <= first).count(), 10, "as named at first");
        assert!(wakes.len() < 3600 / 5 + 20, "{} wake-ups in an hour", wakes.len());
        now += Duration::from_secs(300);
        assert_eq!(limit.earliest(now), now, "and after a rest again");
    }
}
