//! How fast a node speaks: flood control, and the waits between attempts.

use rand::TryRng as _;
use std::time::Duration;
use tokio::time::Instant;

/// The most lines that may be owed: a server that asks for many answers does not silence us for long.
const MAX_OWED: u32 = 8;

/// One line in an interval. What must be said at once is said, and counted: later lines wait for it.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    free: Instant,
}

impl Pace {
    pub(crate) fn new(interval: Duration, now: Instant) -> Self {
        Self { interval, free: now }
    }

    /// From when on the next line may be sent.
    pub(crate) fn free(&self) -> Instant {
        self.free
    }

    /// From when on something may be sent that should not wait behind lines: one line earlier.
    pub(crate) fn free_for_control(&self) -> Instant {
        self.free.checked_sub(self.interval).unwrap_or(self.free)
    }

    /// Counts a line that was sent.
    pub(crate) fn count(&mut self, now: Instant) {
        self.free = (self.free.max(now) + self.interval).min(now + self.interval * MAX_OWED);
    }
}

/// Waits that double up to a longest one, with jitter, so that many do not come back in the same moment.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    pub(crate) fn new((first, longest): (Duration, Duration)) -> Self {
        Self { first, longest, next: first }
    }

    /// Begins anew with the first wait.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// The next wait: between half and the whole of what is due.
    pub(crate) fn next(&mut self) -> Duration {
        let due = self.next.min(self.longest);
        self.next = due * 2;
        due.mul_f64(0.5 + 0.5 * chance())
    }
}

/// A number between 0 and 1.
fn chance() -> f64 {
    // Without randomness from the system the waits are merely less spread.
    let number = rand::rngs::SysRng.try_next_u32().unwrap_or(u32::MAX / 2);
    f64::from(number) / f64::from(u32::MAX)
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
        // What was said out of turn is made up for.
        pace.count(now);
        assert_eq!(pace.free(), now + 4 * SECOND);
        assert_eq!(pace.free_for_control(), now + 2 * SECOND);
        (0..1000).for_each(|_| pace.count(now));
        assert_eq!(pace.free(), now + 16 * SECOND);
    }

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new((SECOND, 10 * SECOND));
        for due in [1, 2, 4, 8, 10, 10] {
            let wait = backoff.next();
            assert!(wait >= SECOND * due / 2 && wait <= SECOND * due, "{wait:?} of {due} s");
        }
        backoff.reset();
        assert!(backoff.next() <= SECOND);
    }
}
