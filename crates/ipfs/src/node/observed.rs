//! The addresses at which persistent peers see this node. Behind NAT, they are the addresses of the router.
use std::collections::BTreeMap;

use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use super::addresses::{is_quic, socket_of, without_peer};
use super::circuits::is_relayed;

/// Maximum number of addresses that are told to others.
const MAX_TOLD: usize = 8;

/// The address that a peer reported.
#[derive(Clone, Debug)]
struct Report {
    address: Multiaddr,
    /// Whether the peer is in another network, beyond a router of this one.
    is_outside: bool,
}

/// The last address that each persistent peer reported, for TCP and for QUIC. There are at most as many entries as
/// persistent peers, twice.
#[derive(Debug, Default)]
pub(super) struct Observed(BTreeMap<(PeerId, bool), Report>);

impl Observed {
    /// Records the address that a persistent peer reported for a connection that this node dialled to it. `is_outside`
    /// tells whether the peer is in another network.
    pub(super) fn reported(&mut self, by: PeerId, address: &Multiaddr, is_outside: bool) {
        if socket_of(address).is_some() && !is_relayed(address) {
            let report = Report { address: without_peer(address), is_outside };
            self.0.insert((by, is_quic(address)), report);
        }
    }

    /// Forgets what a peer reported that is not connected any more.
    pub(super) fn forget(&mut self, by: &PeerId) {
        self.0.retain(|(peer, _), _| peer != by);
    }

    /// Returns all addresses that peers in other networks reported.
    pub(super) fn reports(&self) -> Vec<Multiaddr> {
        self.0.values().filter(|report| report.is_outside).map(|report| report.address.clone()).collect()
    }

    /// Returns the addresses, each once. `listening` are the addresses on which this node listens.
    ///
    /// A connection that was made before the node listened has another port, so its address is of no use. Most routers
    /// keep the port if they can. So each TCP address is also returned with the port on which the node listens.
    pub(super) fn addresses(&self, listening: &[Multiaddr]) -> Vec<Multiaddr> {
        let all: Vec<Multiaddr> = self.0.values().map(|report| report.address.clone()).collect();
        told(&all, listening)
    }

    /// Returns the addresses that peers in other networks reported; otherwise as [`Observed::addresses`].
    pub(super) fn outside(&self, listening: &[Multiaddr]) -> Vec<Multiaddr> {
        told(&self.reports(), listening)
    }
}

/// Returns the addresses, and the TCP addresses with the port on which the node listens, each once.
fn told(reported: &[Multiaddr], listening: &[Multiaddr]) -> Vec<Multiaddr> {
    let port = listening.iter().find_map(tcp_port);
    let with_port = |address: &Multiaddr| {
        tcp_port(address)?;
        address.replace(1, |_| port.map(Protocol::Tcp))
    };
    let mut told: Vec<Multiaddr> = Vec::new();
    for address in reported.iter().cloned().chain(reported.iter().filter_map(with_port)) {
        if told.len() < MAX_TOLD && !told.contains(&address) {
            told.push(address);
        }
    }
    told
}

fn tcp_port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| if let Protocol::Tcp(port) = part { Some(port) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_reports_one_address_for_each_transport() {
        let (mut observed, [a, b]) = (Observed::default(), [PeerId::random(), PeerId::random()]);
        let mut report = |by, text: &str| observed.reported(by, &text.parse().unwrap(), by == a);
        report(a, "/ip4/203.0.113.7/tcp/1111");
        report(a, "/ip4/203.0.113.7/tcp/2222");
        report(b, "/ip4/203.0.113.7/tcp/2222");
        report(a, "/ip4/203.0.113.7/udp/2222/quic-v1");
        report(b, &format!("/ip4/203.0.113.7/udp/2222/quic-v1/p2p/{a}/p2p-circuit"));
        report(b, &format!("/p2p/{a}"));
        assert_eq!(observed.addresses(&[]).len(), 2);
        assert_eq!(
            observed.outside(&[]).len(),
            2,
            "both addresses were reported by a peer in another network"
        );
        observed.forget(&a);
        assert!(observed.outside(&[]).is_empty());
        assert_eq!(observed.addresses(&[]), ["/ip4/203.0.113.7/tcp/2222".parse().unwrap()]);
    }

    #[test]
    fn the_port_on_which_the_node_listens_is_tried_too() {
        let mut observed = Observed::default();
        observed.reported(PeerId::random(), &"/ip4/203.0.113.7/tcp/47406".parse().unwrap(), true);
        observed.reported(PeerId::random(), &"/ip4/203.0.113.7/udp/47406/quic-v1".parse().unwrap(), true);
        let listening = ["/ip4/10.0.0.2/udp/6002/quic-v1", "/ip4/10.0.0.2/tcp/6002"];
        let told = observed.addresses(&listening.map(|address| address.parse().unwrap()));
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 3);
        assert_eq!(told[2], "/ip4/203.0.113.7/tcp/6002");
    }
}
