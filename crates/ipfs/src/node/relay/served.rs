//! The peers that use this node as a relay now. Their connections stay open, although they carry no blocks.
use std::collections::{BTreeMap, BTreeSet};

use libp2p::PeerId;
use libp2p::relay::Event;

/// The peers with a slot, and the number of circuits of each peer. The relay itself limits both.
#[derive(Debug, Default)]
pub(in crate::node) struct Served {
    slots: BTreeSet<PeerId>,
    circuits: BTreeMap<PeerId, usize>,
}

impl Served {
    /// Applies an event of the relay.
    pub(in crate::node) fn apply(&mut self, event: &Event) {
        match event {
            Event::ReservationReqAccepted { src_peer_id, .. } => drop(self.slots.insert(*src_peer_id)),
            Event::ReservationClosed { src_peer_id } | Event::ReservationTimedOut { src_peer_id } => {
                self.slots.remove(src_peer_id);
            }
            Event::CircuitReqAccepted { src_peer_id, dst_peer_id } => {
                for peer in [src_peer_id, dst_peer_id] {
                    *self.circuits.entry(*peer).or_default() += 1;
                }
            }
            Event::CircuitClosed { src_peer_id, dst_peer_id, .. } => {
                self.closed(src_peer_id);
                self.closed(dst_peer_id);
            }
            // Refusals and failures change nothing.
            _ => {}
        }
    }

    fn closed(&mut self, peer: &PeerId) {
        let Some(count) = self.circuits.get_mut(peer) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.circuits.remove(peer);
        }
    }

    /// Returns whether the relay serves a peer now.
    pub(in crate::node) fn has(&self, peer: &PeerId) -> bool {
        self.slots.contains(peer) || self.circuits.contains_key(peer)
    }

    /// Forgets a peer that is not connected any more.
    pub(in crate::node) fn disconnected(&mut self, peer: &PeerId) {
        self.slots.remove(peer);
        self.circuits.remove(peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_served_while_they_have_a_slot_or_a_circuit() {
        let (mut served, [caller, called]) = (Served::default(), [PeerId::random(), PeerId::random()]);
        served.apply(&Event::ReservationReqAccepted { src_peer_id: called, renewed: false });
        assert!(served.has(&called) && !served.has(&caller));
        let opened = || Event::CircuitReqAccepted { src_peer_id: caller, dst_peer_id: called };
        let closed = || Event::CircuitClosed { src_peer_id: caller, dst_peer_id: called, error: None };
        [opened(), opened(), closed()].iter().for_each(|event| served.apply(event));
        assert!(served.has(&caller));
        served.apply(&closed());
        served.apply(&closed());
        assert!(!served.has(&caller) && served.has(&called));
        served.apply(&Event::ReservationClosed { src_peer_id: called });
        assert!(!served.has(&called));
    }
}
