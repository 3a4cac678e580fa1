//! Exponential backoff with jitter.

use rand::TryRng as _;
use std::time::Duration;

/// Waits between attempts. They double up to a maximum. The jitter keeps many nodes that lost the same peer from all
/// coming back at once.
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

    /// Resets the next wait to the first one.
    pub(crate) fn reset(&mut self) {
        self.next = self.first;
    }

    /// Returns the next wait, chosen at random between half of the due time and all of it.
    pub(crate) fn next(&mut self) -> Duration {
        let due = self.next.min(self.longest);
        self.next = due * 2;
        due.mul_f64(0.5 + 0.5 * chance())
    }
}

/// Returns a random number between 0 and 1.
fn chance() -> f64 {
    // Without random bytes, uses the full wait.
    let number = rand::rngs::SysRng.try_next_u32().unwrap_or(u32::MAX);
    f64::from(number) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest_and_are_reset() {
        let mut backoff = Backoff::new((SECOND, 10 * SECOND));
        for due in [1, 2, 4, 8, 10, 10] {
            let wait = backoff.next();
            assert!(wait >= SECOND * due / 2 && wait <= SECOND * due, "{wait:?} of {due} s");
        }
        backoff.reset();
        assert!(backoff.next() <= SECOND);
    }
}
