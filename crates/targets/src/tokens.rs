//! A token bucket: a rate limit with a burst and a long-term rate.

use std::time::Duration;

/// Parts per token. Tokens are counted in parts, so that any rate per minute adds a whole number of parts in each
/// millisecond.
const PARTS: u64 = 60_000;

/// The burst and the long-term rate of a token bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Maximum number of tokens at once.
    pub burst: u32,
    /// Tokens per minute in the long run.
    pub per_minute: u32,
}

/// One token bucket.
#[derive(Clone, Copy, Debug)]
pub struct Tokens {
    left: u64,
    /// Time up to which the bucket was refilled.
    since: Duration,
}

impl Tokens {
    /// Returns a bucket that is full at `elapsed`, the time since a fixed moment.
    pub fn full(allowance: Allowance, elapsed: Duration) -> Self {
        Self { left: most(allowance), since: elapsed }
    }

    fn fill(&mut self, allowance: Allowance, elapsed: Duration) {
        let passed = elapsed.saturating_sub(self.since).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        // A fraction of a millisecond is left over for the next call.
        self.since += Duration::from_millis(passed);
        let back = passed.saturating_mul(u64::from(allowance.per_minute));
        self.left = self.left.saturating_add(back).min(most(allowance));
    }

    /// Returns whether the bucket holds this many tokens.
    pub fn has(&mut self, tokens: u32, allowance: Allowance, elapsed: Duration) -> bool {
        self.fill(allowance, elapsed);
        self.left >= u64::from(tokens) * PARTS
    }

    /// Takes this many tokens, or all that are left.
    pub fn take(&mut self, tokens: u32) {
        self.left = self.left.saturating_sub(u64::from(tokens) * PARTS);
    }

    /// Puts tokens back, up to the burst.
    pub fn put_back(&mut self, tokens: u32, allowance: Allowance) {
        self.left = self.left.saturating_add(u64::from(tokens) * PARTS).min(most(allowance));
    }

    /// Returns whether the bucket is full, so that forgetting it changes nothing.
    pub fn is_full(&mut self, allowance: Allowance, elapsed: Duration) -> bool {
        self.fill(allowance, elapsed);
        self.left == most(allowance)
    }
}

fn most(allowance: Allowance) -> u64 {
    u64::from(allowance.burst) * PARTS
}
