//! The addresses at which persistent peers see this node. Behind NAT, they are the addresses of the router.
use std::collections::BTreeMap;

use libp2p::{Multiaddr, PeerId};

use super::addresses::{is_quic, socket_of, without_peer};
use super::circuits::is_relayed;

/// Maximum number of addresses that are told to others.
const MAX_TOLD: usize = 8;

/// The last address that each persistent peer reported, for TCP and for QUIC. There are at most as many entries as
/// persistent peers, twice.
#[derive(Debug, Default)]
pub(super) struct Observed(BTreeMap<(PeerId, bool), Multiaddr>);

impl Observed {
    /// Records the address that a persistent peer reported for a connection that this node dialled to it.
    pub(super) fn reported(&mut self, by: PeerId, address: &Multiaddr) {
        if socket_of(address).is_some() && !is_relayed(address) {
            self.0.insert((by, is_quic(address)), without_peer(address));
        }
    }

    /// Forgets what a peer reported that is not connected any more.
    pub(super) fn forget(&mut self, by: &PeerId) {
        self.0.retain(|(peer, _), _| peer != by);
    }

    /// Returns the addresses, each once.
    pub(super) fn addresses(&self) -> Vec<Multiaddr> {
        let mut told: Vec<Multiaddr> = Vec::new();
        for address in self.0.values() {
            if told.len() < MAX_TOLD && !told.contains(address) {
                told.push(address.clone());
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_reports_one_address_for_each_transport() {
        let (mut observed, [a, b]) = (Observed::default(), [PeerId::random(), PeerId::random()]);
        let mut report = |by, text: &str| observed.reported(by, &text.parse().unwrap());
        report(a, "/ip4/203.0.113.7/tcp/1111");
        report(a, "/ip4/203.0.113.7/tcp/2222");
        report(b, "/ip4/203.0.113.7/tcp/2222");
        report(a, "/ip4/203.0.113.7/udp/2222/quic-v1");
        report(b, &format!("/ip4/203.0.113.7/udp/2222/quic-v1/p2p/{a}/p2p-circuit"));
        report(b, &format!("/p2p/{a}"));
        assert_eq!(observed.addresses().len(), 2);
        observed.forget(&a);
        assert_eq!(observed.addresses(), ["/ip4/203.0.113.7/tcp/2222".parse().unwrap()]);
    }
}
