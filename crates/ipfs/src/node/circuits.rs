//! Addresses that lead through a relay: `HOST/TRANSPORT/p2p/RELAY/p2p-circuit/p2p/PEER`.
use std::net::IpAddr;

use libp2p::PeerId;
use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::{Multiaddr, Protocol};

use super::addresses::host_of;

/// Maximum number of relayed addresses of one peer that are dialled, and maximum number of relays at which this node
/// reserves a slot. A second relay takes over when the first one fails.
pub(super) const MAX_CIRCUITS: usize = 2;

/// A relayed address, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Circuit {
    /// Address of the relay, without any peer ID.
    pub(super) place: Multiaddr,
    pub(super) relay: PeerId,
    /// The peer behind the relay, if the address names it.
    pub(super) peer: Option<PeerId>,
}

/// Returns whether an address leads through a relay.
pub(super) fn is_relayed(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
}

/// Takes a relayed address apart. Returns `None` for all other addresses, and for those that lead through several
/// relays or name no relay.
pub(super) fn take_apart(address: &Multiaddr) -> Option<Circuit> {
    let mut parts = address.iter();
    let mut place = Multiaddr::empty();
    let relay = loop {
        match parts.next()? {
            Protocol::P2p(relay) => break relay,
            Protocol::P2pCircuit => return None,
            part => place.push(part),
        }
    };
    let peer = match (parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::P2pCircuit), None, None) => None,
        (Some(Protocol::P2pCircuit), Some(Protocol::P2p(peer)), None) => Some(peer),
        _ => return None,
    };
    Some(Circuit { place, relay, peer })
}

/// Returns the relayed address of a node that has a slot at the relay `relay` at `place`.
pub(super) fn through(place: &Multiaddr, relay: PeerId) -> Multiaddr {
    place.clone().with(Protocol::P2p(relay)).with(Protocol::P2pCircuit)
}

/// Leaves out relayed addresses that make no sense for `peer`: they name another peer, or lead through this node or
/// through the peer itself. At most [`MAX_CIRCUITS`] relayed addresses remain.
pub(super) fn sensible(given: Vec<Multiaddr>, peer: PeerId, me: PeerId) -> Vec<Multiaddr> {
    let mut left = MAX_CIRCUITS;
    let mut is_sensible = |address: &Multiaddr| {
        if !is_relayed(address) {
            return true;
        }
        let leads_there = take_apart(address).is_some_and(|circuit| {
            circuit.relay != me && circuit.relay != peer && circuit.peer.is_none_or(|named| named == peer)
        });
        let is_taken = leads_there && left > 0;
        left -= usize::from(is_taken);
        is_taken
    };
    given.into_iter().filter(|address| is_sensible(address)).collect()
}

/// Returns the IP address of the other end of a connection: of the peer, or of the relay between.
pub(super) fn other_end(endpoint: &ConnectedPoint) -> Option<IpAddr> {
    match endpoint {
        ConnectedPoint::Listener { local_addr, .. } if is_relayed(local_addr) => host_of(local_addr),
        other => host_of(other.get_remote_address()),
    }
}

/// Returns the address that shows how a connection was made. For a connection that a peer made through a relay, this is
/// the address of the relay.
pub(super) fn path_of(endpoint: &ConnectedPoint) -> &Multiaddr {
    match endpoint {
        ConnectedPoint::Listener { local_addr, .. } if is_relayed(local_addr) => local_addr,
        other => other.get_remote_address(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &str = "/ip4/203.0.113.7/tcp/6002";

    fn address(text: &str) -> Multiaddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_relayed_address_names_a_relay_and_perhaps_the_peer() {
        let (relay, peer) = (PeerId::random(), PeerId::random());
        let circuit = Circuit { place: address(PLACE), relay, peer: None };
        let through = through(&address(PLACE), relay);
        assert_eq!(take_apart(&through).as_ref(), Some(&circuit));
        let named = through.with(Protocol::P2p(peer));
        assert_eq!(take_apart(&named), Some(Circuit { peer: Some(peer), ..circuit }));
    }

    #[test]
    fn chains_of_relays_and_incomplete_addresses_are_no_relayed_addresses() {
        let [a, b] = [PeerId::random(), PeerId::random()];
        for text in [
            PLACE.to_owned(),
            format!("{PLACE}/p2p/{a}"),
            format!("{PLACE}/p2p-circuit"),
            format!("{PLACE}/p2p/{a}/p2p-circuit/p2p/{b}/p2p-circuit"),
            format!("{PLACE}/p2p/{a}/p2p-circuit/ip4/10.0.0.1/tcp/1"),
            format!("{PLACE}/p2p/{a}/p2p-circuit/p2p/{b}/tcp/1"),
        ] {
            assert_eq!(take_apart(&address(&text)), None, "{text}");
        }
    }

    #[test]
    fn of_a_hundred_relayed_addresses_two_are_used() {
        let (me, peer) = (PeerId::random(), PeerId::random());
        let mut given: Vec<Multiaddr> =
            (0..100).map(|_| through(&address(PLACE), PeerId::random())).collect();
        given.push(address(PLACE));
        let usable = sensible(given, peer, me);
        assert_eq!(usable.iter().filter(|address| is_relayed(address)).count(), MAX_CIRCUITS);
        assert!(usable.contains(&address(PLACE)));
    }

    #[test]
    fn a_relay_is_neither_this_node_nor_the_peer_and_leads_to_no_other_peer() {
        let [me, peer, relay] = [PeerId::random(), PeerId::random(), PeerId::random()];
        let to_another = through(&address(PLACE), relay).with(Protocol::P2p(PeerId::random()));
        let given = vec![through(&address(PLACE), me), through(&address(PLACE), peer), to_another];
        assert!(sensible(given, peer, me).is_empty());
    }
}
