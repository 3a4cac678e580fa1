//! Token buckets: so much at once, and so much in the long run.

use routing::{Allowance, Capacity};
use std::time::Duration;

/// Parts of a token, so that a millisecond of any rate a minute is a whole number of them.
const PARTS: u64 = 60_000;

/// What is left of one allowance.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tokens {
    allowance: Allowance,
    left: u64,
    /// Up to when it was filled.
    since: Duration,
}

impl Tokens {
    /// All of it, at `elapsed`.
    pub(crate) fn full(allowance: Allowance, elapsed: Duration) -> Self {
        Self { allowance, left: u64::from(allowance.burst) * PARTS, since: elapsed }
    }

    /// Adds what has come back since the last time.
    fn fill(&mut self, elapsed: Duration) {
        let passed = elapsed.saturating_sub(self.since).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        // What is less than a millisecond counts the next time.
        self.since += Duration::from_millis(passed);
        let back = passed.saturating_mul(u64::from(self.allowance.per_minute));
        self.left = self.left.saturating_add(back).min(u64::from(self.allowance.burst) * PARTS);
    }

    /// Whether so many tokens are there; no more than the burst ever are.
    pub(crate) fn has(&mut self, tokens: u32, elapsed: Duration) -> bool {
        self.fill(elapsed);
        self.left >= u64::from(tokens) * PARTS
    }

    /// Takes tokens away that are there.
    fn take(&mut self, tokens: u32) {
        self.left = self.left.saturating_sub(u64::from(tokens) * PARTS);
    }

    /// Takes tokens, if they are there.
    pub(crate) fn spend(&mut self, tokens: u32, elapsed: Duration) -> bool {
        let has = self.has(tokens, elapsed);
        if has {
            self.take(tokens);
        }
        has
    }

    /// When so many tokens will be there.
    fn when(&self, tokens: u32) -> Duration {
        let missing = (u64::from(tokens) * PARTS).saturating_sub(self.left);
        self.since + Duration::from_millis(missing.div_ceil(u64::from(self.allowance.per_minute).max(1)))
    }

    pub(crate) fn since(&self) -> Duration {
        self.since
    }
}

/// What a network still bears.
#[derive(Clone, Debug)]
pub(crate) struct Budget {
    capacity: Capacity,
    bytes: Tokens,
    lines: Tokens,
}

impl Budget {
    pub(crate) fn full(capacity: Capacity, elapsed: Duration) -> Self {
        let (bytes, lines) = (Tokens::full(capacity.bytes, elapsed), Tokens::full(capacity.lines, elapsed));
        Self { capacity, bytes, lines }
    }

    fn cost(&self, bytes: usize) -> (u32, u32) {
        (u32::try_from(bytes).unwrap_or(u32::MAX), self.capacity.pieces(bytes))
    }

    /// Whether a line of so many bytes can ever be sent.
    pub(crate) fn bears(&self, bytes: usize) -> bool {
        let (bytes, lines) = self.cost(bytes);
        bytes <= self.capacity.bytes.burst && lines <= self.capacity.lines.burst
    }

    /// Takes what a line of so many bytes costs, if it is there.
    pub(crate) fn spend(&mut self, bytes: usize, elapsed: Duration) -> bool {
        let (bytes, lines) = self.cost(bytes);
        let has = self.bytes.has(bytes, elapsed) && self.lines.has(lines, elapsed);
        if has {
            self.bytes.take(bytes);
            self.lines.take(lines);
        }
        has
    }

    /// How many bytes could be sent at `elapsed`.
    pub(crate) fn bytes_left(&self, elapsed: Duration) -> u64 {
        let mut bytes = self.bytes;
        bytes.fill(elapsed);
        bytes.left / PARTS
    }

    /// When a line of so many bytes can be sent.
    pub(crate) fn when(&self, bytes: usize) -> Duration {
        let (bytes, lines) = self.cost(bytes);
        self.bytes.when(bytes).max(self.lines.when(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut tokens = Tokens::full(Allowance { burst: 10, per_minute: 300 }, SECOND);
        let spent = |tokens: &mut Tokens, at| (0..100).filter(|_| tokens.spend(1, at)).count();
        assert_eq!(spent(&mut tokens, SECOND), 10);
        assert_eq!(spent(&mut tokens, SECOND * 2), 5);
        assert_eq!(tokens.when(2), SECOND * 2 + Duration::from_millis(400));
        assert_eq!(spent(&mut tokens, SECOND * 2 + Duration::from_millis(400)), 2);
        assert_eq!(spent(&mut tokens, SECOND * 200), 10, "no more than the burst is ever there");
    }

    #[test]
    fn pieces_of_long_lines_count() {
        let mut budget =
            Budget::full(Capacity { lines: Allowance { burst: 5, per_minute: 30 }, ..Capacity::IRC }, SECOND);
        assert!(budget.bears(750) && !budget.bears(751));
        assert!(budget.spend(450, SECOND) && !budget.spend(450, SECOND));
        // Of the three pieces two are there.
        assert_eq!(budget.when(450), SECOND * 3);
        assert!(budget.spend(300, SECOND), "a short one still passes");
    }
}
