//! A token bucket: a rate limit with a burst and a long-term rate.

use std::time::Duration;

/// Parts of a token. A millisecond of any rate per minute is a whole number of parts.
const PARTS: u64 = 60_000;

/// A burst, and the rate in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Tokens at once.
    pub burst: u32,
    /// Tokens a minute.
    pub per_minute: u32,
}

/// One token bucket.
#[derive(Clone, Copy, Debug)]
pub struct Tokens {
    left: u64,
    /// The time up to which the bucket was refilled.
    since: Duration,
}

impl Tokens {
    /// Returns a full bucket, at `elapsed`.
    pub fn full(allowance: Allowance, elapsed: Duration) -> Self {
        Self { left: most(allowance), since: elapsed }
    }

    fn fill(&mut self, allowance: Allowance, elapsed: Duration) {
        let passed = elapsed.saturating_sub(self.since).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        // The fraction of a millisecond counts the next time.
        self.since += Duration::from_millis(passed);
        let back = passed.saturating_mul(u64::from(allowance.per_minute));
        self.left = self.left.saturating_add(back).min(most(allowance));
    }

    /// Whether the bucket holds this many tokens.
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

    /// Whether the bucket is full, so that forgetting it changes nothing.
    pub fn is_full(&mut self, allowance: Allowance, elapsed: Duration) -> bool {
        self.fill(allowance, elapsed);
        self.left == most(allowance)
    }
}

fn most(allowance: Allowance) -> u64 {
    u64::from(allowance.burst) * PARTS
}
