//! Which addresses are dialled.
use std::net::IpAddr;

use libp2p::multiaddr::{Multiaddr, Protocol};

/// The most addresses of one peer that are tried.
const MAX_ADDRESSES: usize = 16;

/// Those of the addresses that may be dialled: an IP address and a transport that is spoken here. The addresses come
/// from records of strangers, so names are not looked up, and this host does not talk to itself unless told to.
pub(super) fn usable(addresses: Vec<Multiaddr>, allow_loopback: bool) -> Vec<Multiaddr> {
    addresses.into_iter().filter(|address| is_usable(address, allow_loopback)).take(MAX_ADDRESSES).collect()
}

fn is_usable(address: &Multiaddr, allow_loopback: bool) -> bool {
    let mut parts = address.iter();
    let ip = match parts.next() {
        Some(Protocol::Ip4(ip)) => IpAddr::V4(ip),
        Some(Protocol::Ip6(ip)) => IpAddr::V6(ip),
        _ => return false,
    };
    let transport = match (parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None | Some(Protocol::P2p(_))) => port != 0,
        (Some(Protocol::Udp(port)), Some(Protocol::QuicV1)) => port != 0,
        _ => false,
    };
    let ip = ip.to_canonical();
    transport && !ip.is_unspecified() && !ip.is_multicast() && (allow_loopback || !ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable_one(address: &str, allow_loopback: bool) -> bool {
        is_usable(&address.parse().unwrap(), allow_loopback)
    }

    #[test]
    fn dials_hosts_over_tcp_and_quic() {
        for address in ["/ip4/10.0.0.1/tcp/6002", "/ip6/fd00::1/udp/6002/quic-v1", "/ip6/fe80::1/tcp/1"] {
            assert!(usable_one(address, false), "{address}");
        }
    }

    #[test]
    fn dials_loopback_only_when_told_to() {
        for address in ["/ip4/127.0.0.1/tcp/6002", "/ip6/::1/udp/6002/quic-v1", "/ip6/::ffff:127.0.0.1/tcp/1"]
        {
            assert!(!usable_one(address, false), "{address}");
            assert!(usable_one(address, true), "{address}");
        }
    }

    #[test]
    fn never_dials_what_is_no_host_or_has_another_transport() {
        let addresses = [
            "/ip4/0.0.0.0/tcp/6002",
            "/ip6/::/tcp/6002",
            "/ip4/224.0.0.1/udp/1/quic-v1",
            "/ip4/10.0.0.1/tcp/0",
            "/ip4/10.0.0.1/udp/6002",
            "/ip4/10.0.0.1/tcp/80/ws",
            "/dns4/localhost/tcp/1",
            "/ip4/10.0.0.1",
        ];
        for address in addresses {
            assert!(!usable_one(address, true), "{address}");
        }
    }
}
