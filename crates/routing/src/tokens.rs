//! Token buckets: rate limits with a burst and a long-term rate.

use crate::channel::Allowance;
use std::collections::BTreeMap;
use std::time::Duration;

/// Parts per token. With this number, a millisecond adds a whole number of parts at any rate per minute.
const PARTS: u64 = 60_000;
/// Maximum number of senders whose budgets one table keeps.
const MAX_SENDERS: usize = 1024;

/// One token bucket.
#[derive(Clone, Copy, Debug)]
pub struct Tokens {
    allowance: Allowance,
    left: u64,
    /// The time up to which the bucket was refilled.
    since: Duration,
}

impl Tokens {
    /// Returns a full bucket, at `elapsed`.
    pub fn full(allowance: Allowance, elapsed: Duration) -> Self {
        Self { allowance, left: u64::from(allowance.burst) * PARTS, since: elapsed }
    }

    /// Refills the bucket for the time that has passed.
    fn fill(&mut self, elapsed: Duration) {
        let passed = elapsed.saturating_sub(self.since).as_millis();
        let passed = u64::try_from(passed).unwrap_or(u64::MAX);
        // The remaining fraction of a millisecond counts the next time.
        self.since += Duration::from_millis(passed);
        let back = passed.saturating_mul(u64::from(self.allowance.per_minute));
        self.left = self.left.saturating_add(back).min(u64::from(self.allowance.burst) * PARTS);
    }

    /// Returns the number of tokens that the bucket holds.
    pub fn left(&mut self, elapsed: Duration) -> u64 {
        self.fill(elapsed);
        self.left / PARTS
    }

    /// Returns whether the bucket holds this many tokens. It never holds more than the burst.
    pub fn has(&mut self, tokens: u32, elapsed: Duration) -> bool {
        self.fill(elapsed);
        self.left >= u64::from(tokens) * PARTS
    }

    /// Takes tokens that the bucket holds.
    pub fn take(&mut self, tokens: u32) {
        self.left = self.left.saturating_sub(u64::from(tokens) * PARTS);
    }

    /// Takes tokens if the bucket holds them, and returns whether it did.
    pub fn spend(&mut self, tokens: u32, elapsed: Duration) -> bool {
        let has = self.has(tokens, elapsed);
        if has {
            self.take(tokens);
        }
        has
    }

    /// Returns the time at which the bucket will hold this many tokens.
    pub fn when(&self, tokens: u32) -> Duration {
        let missing = (u64::from(tokens) * PARTS).saturating_sub(self.left);
        self.since + Duration::from_millis(missing.div_ceil(u64::from(self.allowance.per_minute).max(1)))
    }
}

/// Token buckets by sender (a host or a channel), so that one sender cannot use up the budget of others.
#[derive(Debug)]
pub struct SenderBudgets<Sender> {
    senders: BTreeMap<Sender, Tokens>,
}

impl<Sender> Default for SenderBudgets<Sender> {
    fn default() -> Self {
        Self { senders: BTreeMap::new() }
    }
}

impl<Sender: Ord + Copy> SenderBudgets<Sender> {
    /// Takes one token of `sender`, and returns whether one was left.
    pub fn spend(&mut self, sender: Sender, allowance: Allowance, elapsed: Duration) -> bool {
        if self.senders.len() >= MAX_SENDERS && !self.senders.contains_key(&sender) {
            self.evict_least_recent();
        }
        let full = || Tokens::full(allowance, elapsed);
        self.senders.entry(sender).or_insert_with(full).spend(1, elapsed)
    }

    fn evict_least_recent(&mut self) {
        if let Some((&silent, _)) = self.senders.iter().min_by_key(|(_, tokens)| tokens.since) {
            self.senders.remove(&silent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_bucket_allows_a_burst_and_then_its_rate() {
        let mut tokens = Tokens::full(Allowance { burst: 10, per_minute: 300 }, SECOND);
        let spent = |tokens: &mut Tokens, at| (0..100).filter(|_| tokens.spend(1, at)).count();
        assert_eq!(spent(&mut tokens, SECOND), 10);
        assert_eq!(spent(&mut tokens, SECOND * 2), 5);
        assert_eq!(tokens.when(2), SECOND * 2 + Duration::from_millis(400));
        assert_eq!(spent(&mut tokens, SECOND * 2 + Duration::from_millis(400)), 2);
        assert_eq!(spent(&mut tokens, SECOND * 200), 10, "the bucket never holds more than the burst");
    }

    #[test]
    fn a_flooding_host_is_heard_at_its_rate() {
        let mut budgets = SenderBudgets::default();
        let allowance = Allowance { burst: 10, per_minute: 300 };
        let host = "10.0.0.1".parse().unwrap();
        let heard = |budgets: &mut SenderBudgets<IpAddr>, at| {
            (0..100).filter(|_| budgets.spend(host, allowance, at)).count()
        };
        assert_eq!(heard(&mut budgets, SECOND), 10);
        assert_eq!(heard(&mut budgets, SECOND * 2), 5);
        assert!(
            budgets.spend("10.0.0.2".parse().unwrap(), allowance, SECOND),
            "other hosts are not affected"
        );
    }

    #[test]
    fn the_table_of_senders_stays_bounded() {
        let mut budgets = SenderBudgets::default();
        for n in 0..3000u32 {
            let host = IpAddr::from(n.to_be_bytes());
            budgets.spend(host, Allowance { burst: 1, per_minute: 1 }, SECOND * n);
        }
        assert_eq!(budgets.senders.len(), MAX_SENDERS);
    }
}
