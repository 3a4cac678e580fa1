//! How other networks see this node: whether there is an address translator (NAT) of which kind, and which addresses lead
//! to the node.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use libp2p::Multiaddr;

use crate::node::addresses::{host_of, is_quic, socket_of};

/// How other networks see this node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// The address translator between this node and the others.
    pub nat: NatKind,
    /// Addresses at which a server in another network reached this node.
    pub reached: Vec<Multiaddr>,
    /// Addresses at which a server in another network did not reach this node.
    pub unreached: Vec<Multiaddr>,
    /// Whether a router forwards a port to this host; `None` if no router was asked.
    pub router_port: Option<RouterPort>,
}

/// Answer of a router to the request to forward a port to this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouterPort {
    /// The router forwards from this address of its own.
    Forwarded(Multiaddr),
    /// The port is not forwarded, for this reason.
    Failed(String),
}

/// The kind of an address translator (NAT).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NatKind {
    /// No peer in another network tells the address of this node.
    #[default]
    Unknown,
    /// There is none: others see an address of this host.
    None,
    /// All destinations see the same port. Two nodes behind such translators can be connected directly.
    SamePort,
    /// Each destination sees another port. A direct connection is possible only if the other node is reachable.
    PortPerDestination,
    /// The port is changed, and only one peer tells it.
    ChangedPort,
}

impl NatKind {
    /// Concludes the kind. `observed` are the addresses at which peers in other networks see this node, and `listening`
    /// those at which it listens.
    pub(super) fn of(observed: &[Multiaddr], listening: &[Multiaddr]) -> Self {
        let own: BTreeSet<IpAddr> = listening.iter().filter_map(host_of).collect();
        let ports: BTreeSet<u16> = sockets(listening).iter().map(SocketAddr::port).collect();
        let seen = sockets(observed);
        let Some(first) = seen.first() else { return Self::Unknown };
        if seen.iter().any(|seen| own.contains(&seen.ip())) {
            return Self::None;
        }
        let is_kept = ports.contains(&first.port());
        match (seen.iter().all(|seen| seen.port() == first.port()), is_kept || seen.len() > 1) {
            (true, true) => Self::SamePort,
            (true, false) => Self::ChangedPort,
            (false, _) => Self::PortPerDestination,
        }
    }
}

/// Returns the IP addresses and ports of TCP addresses: those of IPv4 if there are any, because IPv6 is seldom
/// translated.
fn sockets(addresses: &[Multiaddr]) -> Vec<SocketAddr> {
    let tcp = addresses.iter().filter(|address| !is_quic(address)).filter_map(socket_of);
    let (v4, v6): (Vec<_>, Vec<_>) = tcp.partition(SocketAddr::is_ipv4);
    if v4.is_empty() { v6 } else { v4 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(observed: &[&str]) -> NatKind {
        let addresses =
            |texts: &[&str]| -> Vec<Multiaddr> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        NatKind::of(
            &addresses(observed),
            &addresses(&["/ip4/10.0.0.2/tcp/6002", "/ip4/10.0.0.2/udp/6002/quic-v1"]),
        )
    }

    #[test]
    fn the_kind_follows_from_the_ports_that_peers_see() {
        assert_eq!(kind(&[]), NatKind::Unknown);
        assert_eq!(kind(&["/ip4/10.0.0.2/tcp/6002"]), NatKind::None);
        assert_eq!(kind(&["/ip4/203.0.113.7/tcp/6002"]), NatKind::SamePort);
        assert_eq!(kind(&["/ip4/203.0.113.7/tcp/4711"]), NatKind::ChangedPort);
        let two = ["/ip4/203.0.113.7/tcp/4711", "/ip4/203.0.113.7/tcp/4711"];
        assert_eq!(kind(&two), NatKind::SamePort);
        assert_eq!(kind(&[two[0], "/ip4/203.0.113.7/tcp/6002"]), NatKind::PortPerDestination);
    }

    #[test]
    fn addresses_of_quic_and_ipv6_do_not_hide_a_translator() {
        assert_eq!(kind(&["/ip4/203.0.113.7/udp/4711/quic-v1"]), NatKind::Unknown);
        let both = ["/ip6/2001:db8::2/tcp/6002", "/ip4/203.0.113.7/tcp/6002"];
        assert_eq!(kind(&both), NatKind::SamePort);
    }
}
