//! Decides at which relays this node reserves a slot. Only persistent peers are used, because the owner of the node or
//! of the swarm named them.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Multiaddr;
use libp2p::{PeerId, StreamProtocol};

use crate::node::circuits::{self, MAX_CIRCUITS};

/// The protocol that relays offer (circuit relay v2, hop).
const HOP: StreamProtocol = libp2p::relay::HOP_PROTOCOL_NAME;
/// Shortest and longest pause before another request to a relay that refused or lost a slot. The pause doubles with
/// each failure.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// State of the slot at one relay.
#[derive(Debug)]
enum Slot {
    /// There is none. The next request may be made at this time.
    None { due: Option<Instant> },
    /// The relay was asked.
    Asked { listener: ListenerId, place: Multiaddr },
    /// The relay reserved a slot.
    Reserved { listener: ListenerId, place: Multiaddr },
}

#[derive(Debug)]
struct Relay {
    slot: Slot,
    /// Number of failures since the last reserved slot.
    failures: u32,
}

/// The connected relays, and the slots of this node. There are at most as many relays as persistent peers.
#[derive(Debug, Default)]
pub(in crate::node) struct Slots(BTreeMap<PeerId, Relay>);

/// Returns whether a peer with these protocols is a relay.
pub(in crate::node) fn is_relay(protocols: &[StreamProtocol]) -> bool {
    protocols.contains(&HOP)
}

impl Slots {
    /// Records that a connected persistent peer is a relay, or is none any more.
    pub(in crate::node) fn offered(&mut self, relay: PeerId, is_relay: bool) {
        if is_relay {
            self.0.entry(relay).or_insert(Relay { slot: Slot::None { due: None }, failures: 0 });
        } else if self.0.get(&relay).is_some_and(|relay| matches!(relay.slot, Slot::None { .. })) {
            self.0.remove(&relay);
        }
    }

    /// Returns whether a relay was asked for a slot or has reserved one.
    pub(in crate::node) fn has_slot_at(&self, relay: &PeerId) -> bool {
        self.0.get(relay).is_some_and(|relay| !matches!(relay.slot, Slot::None { .. }))
    }

    /// Records that a peer is not connected any more.
    pub(in crate::node) fn disconnected(&mut self, relay: &PeerId) {
        self.0.remove(relay);
    }

    /// Returns the relays to ask for a slot now, if the number of slots is below its limit.
    pub(in crate::node) fn to_ask(&self, now: Instant) -> Vec<PeerId> {
        let missing = self.missing();
        let is_due =
            |relay: &Relay| matches!(relay.slot, Slot::None { due } if due.is_none_or(|due| due <= now));
        let mut due: Vec<_> = self.0.iter().filter(|(_, relay)| is_due(relay)).collect();
        // Relays that failed less often come first.
        due.sort_by_key(|(_, relay)| relay.failures);
        due.into_iter().take(missing).map(|(relay, _)| *relay).collect()
    }

    /// Returns the number of slots below the limit.
    fn missing(&self) -> usize {
        let has_slot = |relay: &&Relay| !matches!(relay.slot, Slot::None { .. });
        MAX_CIRCUITS.saturating_sub(self.0.values().filter(has_slot).count())
    }

    /// Returns the time of the next request, if a slot is missing.
    pub(in crate::node) fn next_due(&self) -> Option<Instant> {
        if self.missing() == 0 {
            return None;
        }
        let dues = self.0.values().filter_map(|relay| match relay.slot {
            Slot::None { due } => due,
            Slot::Asked { .. } | Slot::Reserved { .. } => None,
        });
        dues.min()
    }

    /// Records that a relay at `place` was asked. The slot belongs to this listener of the swarm.
    pub(in crate::node) fn asked(&mut self, relay: PeerId, listener: ListenerId, place: Multiaddr) {
        if let Some(relay) = self.0.get_mut(&relay) {
            relay.slot = Slot::Asked { listener, place };
        }
    }

    /// Records that a relay reserved a slot. Returns whether the relayed addresses of this node have changed.
    pub(in crate::node) fn reserved(&mut self, by: ListenerId) -> bool {
        for relay in self.0.values_mut() {
            if let Slot::Asked { listener, place } = &relay.slot
                && *listener == by
            {
                (relay.failures, relay.slot) = (0, Slot::Reserved { listener: by, place: place.clone() });
                return true;
            }
        }
        false
    }

    /// Records that a relay refused a slot or that a slot was lost. Returns the relay, or `None` if the listener belongs
    /// to no slot.
    pub(in crate::node) fn lost(&mut self, by: ListenerId, now: Instant) -> Option<PeerId> {
        let is_it = |relay: &Relay| match &relay.slot {
            Slot::Asked { listener, .. } | Slot::Reserved { listener, .. } => *listener == by,
            Slot::None { .. } => false,
        };
        let (id, relay) = self.0.iter_mut().find(|(_, relay)| is_it(relay))?;
        relay.fail(now);
        Some(*id)
    }

    /// Records that a relay could not be asked.
    pub(in crate::node) fn failed(&mut self, relay: PeerId, now: Instant) {
        if let Some(relay) = self.0.get_mut(&relay) {
            relay.fail(now);
        }
    }

    /// Returns the addresses at which this node is reached through its relays.
    pub(in crate::node) fn addresses(&self) -> Vec<Multiaddr> {
        let slots = self.0.iter().filter_map(|(id, relay)| match &relay.slot {
            Slot::Reserved { place, .. } => Some(circuits::through(place, *id)),
            Slot::Asked { .. } | Slot::None { .. } => None,
        });
        slots.collect()
    }
}

impl Relay {
    fn fail(&mut self, now: Instant) {
        let pause = BACK_OFF.0.saturating_mul(2u32.saturating_pow(self.failures)).min(BACK_OFF.1);
        self.failures = self.failures.saturating_add(1);
        self.slot = Slot::None { due: Some(now + pause) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> Multiaddr {
        "/ip4/203.0.113.7/tcp/6002".parse().unwrap()
    }

    fn reserve(slots: &mut Slots, relay: PeerId) -> ListenerId {
        let listener = ListenerId::next();
        slots.asked(relay, listener, place());
        assert!(slots.reserved(listener));
        listener
    }

    #[test]
    fn two_of_three_relays_are_used_and_the_third_takes_over() {
        let (mut slots, now) = (Slots::default(), Instant::now());
        let relays: Vec<PeerId> = (0..3).map(|_| PeerId::random()).collect();
        relays.iter().for_each(|relay| slots.offered(*relay, true));
        let asked = slots.to_ask(now);
        assert_eq!(asked.len(), MAX_CIRCUITS);
        for relay in &asked {
            reserve(&mut slots, *relay);
        }
        assert_eq!((slots.to_ask(now).len(), slots.addresses().len()), (0, 2));
        for relay in &relays {
            if !asked.contains(relay) {
                slots.failed(*relay, now);
            }
        }
        assert_eq!(slots.next_due(), None, "nothing is missing");
        slots.disconnected(&asked[0]);
        assert_eq!(slots.next_due(), Some(now + BACK_OFF.0));
        let third = slots.to_ask(now + BACK_OFF.0);
        assert_eq!(third.len(), 1);
        assert!(!asked.contains(&third[0]));
    }

    #[test]
    fn a_relay_that_refuses_is_asked_again_after_a_pause() {
        let (mut slots, now, relay) = (Slots::default(), Instant::now(), PeerId::random());
        slots.offered(relay, true);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            let listener = ListenerId::next();
            slots.asked(relay, listener, place());
            assert_eq!(slots.lost(listener, now), Some(relay));
            pauses.push(slots.next_due().unwrap().duration_since(now).as_secs());
        }
        assert_eq!((pauses[0], pauses[1], pauses[9]), (2, 4, 300));
        assert!(slots.to_ask(now).is_empty());
        assert_eq!(slots.to_ask(now + BACK_OFF.1), [relay]);
    }

    #[test]
    fn a_peer_that_is_no_relay_any_more_keeps_its_slot_until_it_is_lost() {
        let (mut slots, now, relay) = (Slots::default(), Instant::now(), PeerId::random());
        slots.offered(relay, true);
        let listener = reserve(&mut slots, relay);
        slots.offered(relay, false);
        assert_eq!(slots.addresses().len(), 1);
        assert_eq!(slots.lost(listener, now), Some(relay));
        slots.offered(relay, false);
        assert!(slots.to_ask(now + BACK_OFF.1).is_empty());
        assert_eq!(slots.lost(ListenerId::next(), now), None, "a listener of another kind");
    }
}
