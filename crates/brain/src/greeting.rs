//! Greetings: when an unknown peer appears on a local network, this node sends its own presence, name and addresses
//! there again.
//!
//! An unknown peer has just started, or it was away for longer than a presence lasts. So it most likely lacks these
//! records of all nodes. If each node sends its own, the newcomer lists all nodes after about one round trip, and only
//! lost records are left to a comparison.
//!
//! The nodes greet at random times, later on a large network. One greeting serves all newcomers that appear before it is
//! sent. Greetings have a rate limit, so that a host that makes up peers does not cause many. While they follow each
//! other, as when a class is switched on, they come later and later, so that the limit suffices for all newcomers.

use crate::Now;
use crate::neighbours::slowdown;
use crate::node::Node;
use crate::origin::Origin;
use crate::outbox::{Cause, QueuedRecord};
use dcache::buckets::{self, PEER, PRIVATE, Priority};
use dcache::{Key, Kind, PeerId, Record};
use routing::{Allowance, ChannelId, Tokens};
use std::time::Duration;
use telemetry::metrics;

/// Longest random delay of a greeting on a network with few neighbours.
const WAIT: Duration = Duration::from_millis(50);
/// Rate limit of the greetings on one network. The burst lasts for the second in which a whole class is switched on.
const GREETINGS: Allowance = Allowance { burst: 12, per_minute: 12 };
/// Number of greetings after which the longest delay is that of two, then of three, and so on.
const SLOWER_AFTER: u32 = 4;
/// Maximum number of records in a greeting.
const MAX_RECORDS: usize = 8;

/// The greetings on one network.
#[derive(Debug)]
pub(crate) struct Greetings {
    tokens: Tokens,
    /// Time at which the last planned greeting is sent.
    at: Duration,
}

impl Greetings {
    pub(crate) fn new(elapsed: Duration) -> Self {
        Self { tokens: Tokens::full(GREETINGS, elapsed), at: Duration::ZERO }
    }

    /// Plans a greeting after `wait`, or after a multiple of it if there were other greetings, and returns its time.
    /// Returns `None` if a greeting is planned already, or the rate limit is reached.
    fn plan(&mut self, elapsed: Duration, wait: Duration) -> Option<Duration> {
        let left = u32::try_from(self.tokens.left(elapsed)).unwrap_or(u32::MAX);
        if self.at > elapsed || !self.tokens.spend(1, elapsed) {
            return None;
        }
        let before = GREETINGS.burst.saturating_sub(left);
        self.at = elapsed + wait * (1 + before / SLOWER_AFTER);
        Some(self.at)
    }
}

impl Node {
    /// Greets a newcomer whose presence, a record under `key`, came directly from its host.
    pub(crate) fn greet(&mut self, now: Now, origin: Origin, key: &Key) {
        if key.item.bucket != PEER.path() || !self.is_neighbour(origin, key.signer) {
            return;
        }
        let id = origin.channel;
        let wait = self.random_wait(WAIT * slowdown(self.neighbours.on(id).count()));
        let greetings = self.channels.get_mut(id).and_then(|channel| channel.greetings.as_mut());
        let Some(at) = greetings.and_then(|greetings| greetings.plan(now.elapsed, wait)) else { return };
        self.count(&metrics::BRAIN_GREETINGS_SENT);
        for record in self.greeting(now, id) {
            self.schedule(record, at);
        }
    }

    /// Returns whether a line of this origin came directly from the host of a peer.
    fn is_neighbour(&self, origin: Origin, peer: PeerId) -> bool {
        let neighbour = self.neighbours.get(&(origin.channel, peer));
        origin.source.is_some() && neighbour.is_some_and(|neighbour| neighbour.source == origin.source)
    }

    /// Returns the records by which this node is found: its presence first, then what it states about itself.
    fn greeting(&self, now: Now, channel: ChannelId) -> Vec<QueuedRecord> {
        let set = self.replica.set();
        let (present, about) = (PEER.path(), PRIVATE.of(self.me));
        let presence = set.records_beside(self.me, &present);
        let leads = |key: &Key| buckets::family(&key.item.bucket).priority == Priority::Leading;
        let own = presence.chain(set.records_beside(self.me, &about));
        let is_valid =
            |record: &&Record| record.kind() == Kind::Propose && record.validity().contains(now.moment.time);
        let keys = own.filter(is_valid).map(Key::from).filter(leads);
        let queued = |key| QueuedRecord { channel, key, round: 0, cause: Cause::Greeting };
        keys.take(MAX_RECORDS).map(queued).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn one_greeting_serves_all_newcomers_until_it_is_sent() {
        let mut greetings = Greetings::new(SECOND);
        assert_eq!(greetings.plan(SECOND, SECOND), Some(SECOND * 2));
        assert_eq!(greetings.plan(SECOND.mul_f64(1.5), SECOND), None);
        assert_eq!(greetings.plan(SECOND * 2, SECOND), Some(SECOND * 3));
    }

    #[test]
    fn the_greetings_suffice_for_a_class_that_is_switched_on_within_a_second() {
        for nodes in [10, 20, 30, 50] {
            let mut greetings = Greetings::new(SECOND);
            let is_greeted = |node: u32| {
                let at = SECOND + SECOND * node / nodes;
                let wait = WAIT * slowdown(usize::try_from(node).unwrap()) / 2;
                greetings.plan(at, wait).is_some() || greetings.at > at
            };
            assert!((0..nodes).all(is_greeted), "{nodes} nodes");
        }
    }

    #[test]
    fn a_host_that_makes_up_peers_causes_few_greetings() {
        let mut greetings = Greetings::new(Duration::ZERO);
        let planned =
            (0..6000).filter(|n| greetings.plan(SECOND * *n / 100, Duration::ZERO).is_some()).count();
        assert!((12..=24).contains(&planned), "{planned}");
    }
}
