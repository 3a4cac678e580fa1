//! Checks whether a node stays within the limits of a network. Does not use the brain's own code.

use routing::{Allowance, Capacity};
use std::time::Duration;

/// Tolerated rounding error, in seconds: the brain may compute in whole milliseconds.
const ROUNDING: f64 = 0.002;

/// Remaining budget of a node on a network.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    capacity: Capacity,
    bytes: Tokens,
    lines: Tokens,
}

/// A token bucket.
#[derive(Clone, Copy, Debug)]
struct Tokens {
    allowance: Allowance,
    left: f64,
    at: Duration,
}

impl Tokens {
    fn new(allowance: Allowance, at: Duration) -> Self {
        Self { allowance, left: f64::from(allowance.burst), at }
    }

    /// Takes `many` tokens, and returns whether they were there.
    fn take(&mut self, many: f64, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        let grown = self.left + passed * f64::from(self.allowance.per_minute) / 60.0;
        self.left = grown.min(f64::from(self.allowance.burst)) - many;
        self.at = now;
        let slack = f64::from(self.allowance.per_minute) / 60.0 * ROUNDING + 1e-6;
        self.left >= -slack
    }
}

impl Budget {
    /// Returns a full budget, as when a channel comes up.
    pub(crate) fn new(capacity: &Capacity, now: Duration) -> Self {
        let (bytes, lines) = (Tokens::new(capacity.bytes, now), Tokens::new(capacity.lines, now));
        Self { capacity: capacity.clone(), bytes, lines }
    }

    /// Takes the cost of a line, or returns the limit that it exceeds.
    pub(crate) fn spend(&mut self, bytes: usize, now: Duration) -> Result<(), &'static str> {
        let pieces = self.capacity.pieces(bytes);
        let may_lines = self.lines.take(f64::from(pieces), now);
        let may_bytes = self.bytes.take(bytes as f64, now);
        match (may_bytes, may_lines) {
            (true, true) => Ok(()),
            (false, _) => Err("more bytes than the channel allows"),
            (true, false) => Err("more lines than the channel allows"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn bursts_and_long_term_rates_are_bounded_and_pieces_count() {
        let mut budget = Budget::new(&Capacity::IRC, at(0.0));
        assert!((0..10).all(|_| budget.spend(300, at(0.0)).is_ok()));
        assert!(budget.spend(300, at(1.9)).is_err(), "one line in two seconds is allowed");
        let mut budget = Budget::new(&Capacity::IRC, at(0.0));
        assert!(budget.spend(3000, at(0.0)).is_ok(), "the line has twenty pieces");
        assert!((1..100).all(|n| budget.spend(300, at(2.15 * f64::from(n))).is_ok()));
        assert!(budget.spend(301, at(215.0)).is_err(), "the line has three pieces");
    }

    #[test]
    fn too_many_bytes_in_few_lines_are_refused() {
        let mut budget = Budget::new(&Capacity::LAN, at(0.0));
        assert!((0..4).all(|_| budget.spend(16 * 1024, at(0.0)).is_ok()));
        assert_eq!(budget.spend(16 * 1024, at(0.0)), Err("more bytes than the channel allows"));
    }
}
