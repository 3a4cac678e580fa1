//! A limit on how often something may happen.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::Time;

/// Number of times in a row.
pub const BURST: u64 = 4;
/// Seconds after which one more time is allowed.
pub const PER_SECONDS: u64 = 15;

/// Allows something [`BURST`] times in a row, and then once in [`PER_SECONDS`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    /// Time at which everything that was taken is earned again; `None` if nothing was taken.
    earned: Option<Time>,
}

impl Allowance {
    /// Takes one time. Returns whether it is allowed.
    pub fn take(&mut self, now: Time) -> bool {
        let (is_allowed, debt) = (self.wait(now) == 0, self.debt(now));
        self.earned = Some(if is_allowed { debt.plus(PER_SECONDS) } else { debt });
        is_allowed
    }

    /// Returns the seconds until one more time is allowed.
    pub fn wait(&self, now: Time) -> u64 {
        self.debt(now).since(now.plus((BURST - 1) * PER_SECONDS))
    }

    /// Returns the time at which everything is earned. A clock that was set back forgives what would take longer than a
    /// full allowance.
    fn debt(&self, now: Time) -> Time {
        self.earned.map_or(now, |earned| earned.clamp(now, now.plus(BURST * PER_SECONDS)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn after_a_burst_one_more_time_is_allowed_after_a_while() {
        let (mut allowance, now) = (Allowance::default(), Time(1_800_000_000));
        assert!((0..BURST).all(|_| allowance.take(now)));
        assert!(!allowance.take(now) && allowance.wait(now) == PER_SECONDS);
        assert!(!allowance.take(now.plus(PER_SECONDS - 1)) && allowance.take(now.plus(PER_SECONDS)));
        assert!(!allowance.take(now.plus(PER_SECONDS)));
        let earlier = Time(now.0 - 1000);
        assert!(!allowance.take(earlier) && allowance.wait(earlier) == PER_SECONDS, "the clock was set back");
        assert!(allowance.take(earlier.plus(PER_SECONDS)));
    }

    proptest! {
        #[test]
        fn the_number_of_times_is_bounded_in_every_window(steps in proptest::collection::vec(0..40_u64, 1..200)) {
            let (mut allowance, mut now, mut taken) = (Allowance::default(), Time(1_000_000), Vec::new());
            for step in steps {
                now = now.plus(step);
                if allowance.take(now) {
                    taken.push(now);
                }
            }
            for (place, from) in taken.iter().enumerate() {
                for (number, until) in taken.iter().skip(place).enumerate() {
                    prop_assert!(number as u64 <= BURST - 1 + until.since(*from).div_ceil(PER_SECONDS));
                }
            }
        }
    }
}
