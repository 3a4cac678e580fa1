//! The steps of a comparison, which both sides send, and the numbers that stand for records in them.

use crate::Now;
use crate::channel::SendOutcome;
use crate::node::Node;
use dcache::{End, Key, PeerId, Set, Validity};
use routing::{Address, ChannelId, Envelope, Message, Repair, Target};
use sketch::salted;
use std::collections::BTreeSet;
use std::time::Duration;
use telemetry::metrics;

/// Minimum number of further symbols to send when the earlier ones were not enough.
pub(crate) const FEWEST_MORE: u64 = 32;
/// Time after a line with records at which a step tries again.
const AFTER_RECORDS: Duration = Duration::from_millis(10);
/// Maximum number of records given at once on a network.
const MAX_GIVEN: usize = 64;

impl Node {
    /// Sends a step of a comparison to a peer. If the budget of the channel is used up, or waiting records have their turn,
    /// returns the time at which to try again.
    pub(crate) fn send_step(
        &mut self,
        now: Now,
        channel: ChannelId,
        peer: PeerId,
        step: Repair,
    ) -> Option<Duration> {
        if let Repair::Sketch(sketch) = &step {
            self.paths.challenge(channel, sketch.salt);
        }
        if let Some(until) = self.channels.outbox.claimed_until(channel, now.elapsed) {
            self.count(&metrics::BRAIN_LINES_DROPPED_OVER_BUDGET);
            return Some(until + AFTER_RECORDS);
        }
        let on = self.channels.get(channel)?;
        let payload = Message::pong(Validity::ALWAYS);
        let mut envelope = Envelope::new(self.own_address(on), Address::brain(peer), payload);
        envelope.repair = Some(step);
        let source = self.neighbours.get(&(channel, peer)).and_then(|neighbour| neighbour.source);
        let target = source.map_or(Target::All, Target::Host);
        match self.try_send(now, channel, target, &envelope) {
            SendOutcome::Sent => {
                self.channels.outbox.had_turn(channel);
                None
            }
            SendOutcome::OverBudget(until) => {
                self.count(&metrics::BRAIN_LINES_DROPPED_OVER_BUDGET);
                Some(until)
            }
            SendOutcome::TooLong => {
                self.count(&metrics::BRAIN_LINES_DROPPED_TOO_LONG);
                None
            }
        }
    }

    /// Queues the records that the other side of a comparison on a network lacks.
    pub(crate) fn give_on_network(&mut self, now: Now, channel: ChannelId, keys: Vec<Key>) {
        for key in keys.into_iter().take(MAX_GIVEN) {
            self.push_missed(now, channel, key);
        }
    }
}

/// Returns the numbers that stand for the records of a set beyond a bound, under a salt.
pub(crate) fn numbers(set: &Set, bound: End, salt: u64) -> impl Iterator<Item = u64> {
    set.identified_beyond(bound).map(move |(id, _)| salted(salt, &id.0))
}

/// Returns the keys of the records of a set beyond a bound whose numbers under a salt are in `wanted`.
pub(crate) fn keys_of(set: &Set, bound: End, salt: u64, wanted: &[u64]) -> Vec<Key> {
    let wanted: BTreeSet<u64> = wanted.iter().copied().collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let all = set.identified_beyond(bound);
    all.filter(|(id, _)| wanted.contains(&salted(salt, &id.0))).map(|(_, record)| Key::from(record)).collect()
}
