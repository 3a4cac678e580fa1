//! Decides which addresses are dialled.
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use libp2p::PeerId;
use libp2p::multiaddr::{Multiaddr, Protocol};
use tokio::net::lookup_host;
use tokio::time::timeout;

use super::circuits::{self, MAX_CIRCUITS, is_relayed};
use super::networks::Networks;
use super::types::Zones;

/// Maximum number of addresses of one peer that are dialled.
pub(super) const MAX_ADDRESSES: usize = 16;
/// Timeout for the lookup of one name.
const LOOK_UP: Duration = Duration::from_secs(10);

/// Rules for the addresses that this node dials.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// Whether loopback addresses are dialled.
    pub(super) allow_loopback: bool,
    /// Whether the node is in a private network, where QUIC cannot be used.
    pub(super) is_private: bool,
}

/// Reason why an address of a persistent peer cannot be dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the address does not end in /p2p/ID: it must name the peer that it leads to")]
    NoPeer,
    #[error("the address has to begin with /ip4, /ip6, /dns, /dns4 or /dns6")]
    Host,
    #[error("after the host, the address needs /tcp/PORT or /udp/PORT/quic-v1, and nothing else before /p2p")]
    Transport,
    #[error("QUIC cannot be used in a private network: use /tcp/PORT")]
    Private,
}

/// The facts about this host on which the choice of addresses depends.
#[derive(Debug)]
pub(super) struct Here<'a> {
    /// Addresses on which the node listens.
    pub(super) own: &'a [Multiaddr],
    pub(super) networks: &'a Networks,
    pub(super) zones: &'a Zones,
}

/// Returns the addresses that may be dialled, at most [`MAX_ADDRESSES`], with those on this host's networks first and
/// relayed ones last. Each is an IP address followed by a supported transport, and perhaps by a relay. At most
/// [`MAX_CIRCUITS`] of them are relayed.
///
/// The addresses come from records of untrusted peers, so names are not looked up. The node's own addresses are left
/// out, because container bridges have the same addresses on many hosts. Loopback addresses are allowed only by the
/// rules. A link-local address is returned once for each interface on which it was heard.
pub(super) fn usable(given: Vec<Multiaddr>, rules: Rules, here: &Here<'_>) -> Vec<Multiaddr> {
    let is_other = |address: &Multiaddr| !here.own.contains(&without_peer(address));
    let ports: Vec<u16> = here.own.iter().filter_map(|own| Some(socket_of(own)?.port())).collect();
    let is_fit = |address: &Multiaddr| is_usable(address, rules, &ports, here.networks);
    let usable = given.into_iter().filter(|address| is_fit(address) && is_other(address));
    let mut places: Vec<Multiaddr> = usable.flat_map(|address| on_wires(address, here.zones)).collect();
    places.sort_by_key(|place| !here.networks.is_near(place));
    let (relayed, direct): (Vec<_>, Vec<_>) = places.into_iter().partition(is_relayed);
    let relayed = different(relayed, MAX_CIRCUITS);
    let mut all = different(direct, MAX_ADDRESSES - relayed.len());
    all.extend(relayed);
    all
}

/// Returns at most `most` addresses, each once.
fn different(places: Vec<Multiaddr>, most: usize) -> Vec<Multiaddr> {
    let mut different: Vec<Multiaddr> = Vec::new();
    for place in places {
        if different.len() < most && !different.contains(&place) {
            different.push(place);
        }
    }
    different
}

/// Returns the IP address at the start of an address, after the zone if there is one.
pub fn host_of(address: &Multiaddr) -> Option<IpAddr> {
    let is_zone = |part: &Protocol<'_>| matches!(part, Protocol::Ip6zone(_));
    match address.iter().find(|part| !is_zone(part)) {
        Some(Protocol::Ip4(ip)) => Some(IpAddr::V4(ip)),
        Some(Protocol::Ip6(ip)) => Some(IpAddr::V6(ip).to_canonical()),
        _ => None,
    }
}

/// Returns an address without the `/p2p/ID` part at its end. The part that names a relay stays.
pub(super) fn without_peer(address: &Multiaddr) -> Multiaddr {
    let mut place = address.clone();
    if matches!(address.iter().last(), Some(Protocol::P2p(_))) {
        place.pop();
    }
    place
}

/// Returns the address unchanged, unless it is link-local. A link-local address is returned once for each interface on
/// which it was heard, and over TCP only.
fn on_wires(address: Multiaddr, zones: &Zones) -> Vec<Multiaddr> {
    let Some(IpAddr::V6(ip)) = host_of(&address).filter(|ip| is_link_local(*ip)) else {
        return vec![address];
    };
    if is_quic(&address) {
        return Vec::new();
    }
    let with_zone = |zone: u32| -> Multiaddr {
        std::iter::once(Protocol::Ip6zone(zone.to_string().into())).chain(address.iter()).collect()
    };
    zones.of(ip).into_iter().map(with_zone).collect()
}

/// Returns whether an address is an IPv6 link-local address.
pub(super) fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

/// Returns whether an address that a peer signed may be dialled. An IPv6 link-local address is dialled on the
/// interfaces where it was heard; see [`on_wires`]. An IPv4 link-local address is dialled only if this host has one
/// itself.
/// The rules for a relayed address are those for its relay, which is never link-local.
fn is_usable(address: &Multiaddr, rules: Rules, own_ports: &[u16], networks: &Networks) -> bool {
    let circuit = circuits::take_apart(address);
    if is_relayed(address) && circuit.is_none() {
        return false;
    }
    let is_direct = circuit.is_none();
    let place = circuit.map_or_else(|| address.clone(), |circuit| circuit.place);
    is_place_usable(&place, is_direct, rules, own_ports, networks)
}

fn is_place_usable(
    address: &Multiaddr,
    is_direct: bool,
    rules: Rules,
    own_ports: &[u16],
    networks: &Networks,
) -> bool {
    // A zone in a peer's address would name another interface on this host.
    let Some(target) = socket_of(address).filter(|_| !has_zone(address)) else { return false };
    let is_heard = match target.ip() {
        ip if ip.is_loopback() => rules.allow_loopback,
        IpAddr::V4(_) => is_direct && networks.is_near(address),
        ip => is_direct && is_link_local(ip),
    };
    targets::check(target, own_ports, is_heard).is_ok() && has_transport(address, rules.is_private).is_ok()
}

fn has_zone(address: &Multiaddr) -> bool {
    matches!(address.iter().next(), Some(Protocol::Ip6zone(_)))
}

/// Returns the IP address and the port of an address, for any transport.
pub(super) fn socket_of(address: &Multiaddr) -> Option<SocketAddr> {
    let port = address.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    });
    Some(SocketAddr::new(host_of(address)?, port?))
}

/// Checks that the host is followed by a supported transport.
fn has_transport(address: &Multiaddr, is_private: bool) -> Result<(), Unfit> {
    let mut parts = address.iter().skip(1);
    match (parts.next(), parts.next(), parts.next()) {
        (Some(Protocol::Tcp(port)), None | Some(Protocol::P2p(_)), None) if port != 0 => Ok(()),
        (Some(Protocol::Udp(_)), Some(Protocol::QuicV1), _) if is_private => Err(Unfit::Private),
        (Some(Protocol::Udp(port)), Some(Protocol::QuicV1), _) if port != 0 => Ok(()),
        _ => Err(Unfit::Transport),
    }
}

/// Returns whether the transport of this address is QUIC.
pub(super) fn is_quic(address: &Multiaddr) -> bool {
    address.iter().any(|part| matches!(part, Protocol::Quic | Protocol::QuicV1))
}

/// Splits an address of a persistent peer into the peer ID and the address to dial. Host names are allowed.
pub(super) fn chosen(address: &Multiaddr, is_private: bool) -> Result<(PeerId, Multiaddr), Unfit> {
    let mut place = address.clone();
    let Some(Protocol::P2p(peer)) = place.pop() else {
        return Err(Unfit::NoPeer);
    };
    match place.iter().next() {
        Some(Protocol::Ip4(_) | Protocol::Ip6(_)) => {}
        Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)) => {}
        _ => return Err(Unfit::Host),
    }
    has_transport(&place, is_private)?;
    Ok((peer, place))
}

/// Replaces names in addresses by IP addresses. Also returns a message for each name that was not found.
pub(super) async fn look_up(places: Vec<Multiaddr>) -> (Vec<Multiaddr>, Vec<String>) {
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    for place in places {
        match look_up_one(&place).await {
            Ok(addresses) => found.extend(addresses),
            Err(problem) => problems.push(problem),
        }
    }
    found.truncate(MAX_ADDRESSES);
    (found, problems)
}

async fn look_up_one(place: &Multiaddr) -> Result<Vec<Multiaddr>, String> {
    let (name, fits): (_, fn(&IpAddr) -> bool) = match place.iter().next() {
        Some(Protocol::Dns(name)) => (name.into_owned(), |_| true),
        Some(Protocol::Dns4(name)) => (name.into_owned(), IpAddr::is_ipv4),
        Some(Protocol::Dns6(name)) => (name.into_owned(), IpAddr::is_ipv6),
        _ => return Ok(vec![place.clone()]),
    };
    let answer = timeout(LOOK_UP, lookup_host((name.as_str(), 0))).await;
    let answer =
        answer.map_err(|_| format!("the name {name} was not found within {} s", LOOK_UP.as_secs()))?;
    let answer = answer.map_err(|error| format!("the name {name} was not found: {error}"))?;
    let mut found: Vec<_> = answer.map(|socket| socket.ip()).filter(fits).collect();
    found.dedup();
    if found.is_empty() {
        return Err(format!("the name {name} has no address of the right kind"));
    }
    Ok(found.into_iter().filter_map(|ip| place.replace(0, |_| Some(ip.into()))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable_one(address: &str, allow_loopback: bool) -> bool {
        let rules = Rules { allow_loopback, is_private: false };
        is_usable(&address.parse().unwrap(), rules, &[443], &Networks::default())
    }

    #[test]
    fn dials_hosts_over_tcp_and_quic() {
        for address in ["/ip4/10.0.0.1/tcp/6002", "/ip6/fd00::1/udp/6002/quic-v1", "/ip6/fe80::1/tcp/4001"] {
            assert!(usable_one(address, false), "{address}");
        }
    }

    fn addresses(all: &[String]) -> Vec<Multiaddr> {
        all.iter().map(|address| address.parse().unwrap()).collect()
    }

    fn usable_here(given: &[String], own: &[String]) -> Vec<String> {
        let networks: Networks = [("192.168.1.12".parse().unwrap(), 24)].into_iter().collect();
        let zones = Zones::new(|ip| if ip.segments()[7] == 1 { vec![3, 7] } else { Vec::new() });
        let own = addresses(own);
        let here = Here { own: &own, networks: &networks, zones: &zones };
        let rules = Rules { allow_loopback: false, is_private: false };
        usable(addresses(given), rules, &here).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_address_on_an_own_network_is_dialled_despite_many_bridge_addresses() {
        let near = "/ip4/192.168.1.11/tcp/6002".to_owned();
        let mut given: Vec<String> = (0..40)
            .map(|bridge| format!("/ip4/172.{}.0.1/tcp/{}", 17 + bridge % 14, 6002 + bridge))
            .collect();
        given.extend([near.clone(), near.clone()]);
        let usable = usable_here(&given, &[]);
        assert_eq!(usable.len(), MAX_ADDRESSES);
        assert_eq!(usable.iter().filter(|address| **address == near).count(), 1);
        assert_eq!(usable[0], near);
    }

    #[test]
    fn a_relay_is_dialled_under_the_rules_for_all_addresses_and_comes_last() {
        let relay = libp2p::identity::Keypair::generate_ed25519().public().to_peer_id();
        let through = |place: &str| format!("{place}/p2p/{relay}/p2p-circuit");
        let fit = through("/ip4/203.0.113.7/tcp/6002");
        let mut given: Vec<String> = [
            "/ip4/127.0.0.1/tcp/6002",
            "/ip6/::1/tcp/6002",
            "/ip4/169.254.169.254/tcp/6002",
            "/ip6/fe80::1/tcp/6002",
            "/ip4/203.0.113.7/tcp/22",
            "/ip4/224.0.0.1/udp/6002/quic-v1",
            "/dns4/relay.example/tcp/6002",
        ]
        .map(through)
        .into();
        given.push(format!("{fit}/p2p/{relay}/p2p-circuit"));
        given.push(fit.clone());
        assert_eq!(usable_here(&given, &[]), [fit.as_str()]);
        given.extend((0..100).map(|port| through(&format!("/ip4/203.0.113.7/tcp/{}", 7100 + port))));
        given.extend((0..100).map(|port| format!("/ip4/203.0.113.8/tcp/{}", 7100 + port)));
        let usable = usable_here(&given, &[]);
        assert_eq!(usable.len(), MAX_ADDRESSES);
        assert_eq!(usable.iter().filter(|address| address.contains("p2p-circuit")).count(), MAX_CIRCUITS);
        assert!(usable[15].contains("p2p-circuit") && !usable[13].contains("p2p-circuit"), "{usable:?}");
    }

    #[test]
    fn this_host_does_not_dial_its_own_bridge() {
        let id = libp2p::identity::Keypair::generate_ed25519().public().to_peer_id();
        let given = ["/ip4/172.17.0.1/tcp/6002", "/ip4/172.17.0.1/tcp/6003"];
        let given = given.map(|address| format!("{address}/p2p/{id}"));
        let own = ["/ip4/172.17.0.1/tcp/6002".to_owned(), "/ip4/172.17.0.1/udp/6002/quic-v1".to_owned()];
        assert_eq!(usable_here(&given, &own), given[1..], "another daemon on this host is another peer");
    }

    #[test]
    fn a_link_local_address_is_dialled_on_the_interfaces_where_it_was_heard() {
        let given = ["/ip6/fe80::1/tcp/4001", "/ip6/fe80::1/udp/4001/quic-v1", "/ip6/fe80::2/tcp/4001"];
        let usable = usable_here(&given.map(str::to_owned), &[]);
        assert_eq!(usable, ["/ip6zone/3/ip6/fe80::1/tcp/4001", "/ip6zone/7/ip6/fe80::1/tcp/4001"]);
    }

    #[test]
    fn a_port_below_1024_is_dialled_where_this_node_uses_it_too() {
        assert!(usable_one("/ip4/10.0.0.1/tcp/443", false) && !usable_one("/ip4/10.0.0.1/tcp/80", false));
    }

    #[test]
    fn an_ipv4_link_local_address_is_dialled_if_this_host_has_one_too() {
        let networks: Networks = [("169.254.7.7".parse().unwrap(), 16)].into_iter().collect();
        let rules = Rules { allow_loopback: false, is_private: false };
        let address = "/ip4/169.254.1.1/tcp/6002".parse().unwrap();
        assert!(is_usable(&address, rules, &[], &networks));
        assert!(!is_usable(&address, rules, &[], &Networks::default()));
    }

    #[test]
    fn dials_loopback_only_when_told_to() {
        for address in
            ["/ip4/127.0.0.1/tcp/6002", "/ip6/::1/udp/6002/quic-v1", "/ip6/::ffff:127.0.0.1/tcp/4001"]
        {
            assert!(!usable_one(address, false), "{address}");
            assert!(usable_one(address, true), "{address}");
        }
    }

    #[test]
    fn never_dials_an_address_without_a_valid_host_or_transport() {
        let addresses = [
            "/ip4/0.0.0.0/tcp/6002",
            "/ip6/::/tcp/6002",
            "/ip4/224.0.0.1/udp/1/quic-v1",
            "/ip4/10.0.0.1/tcp/0",
            "/ip4/10.0.0.1/tcp/22",
            "/ip4/10.0.0.1/udp/53/quic-v1",
            "/ip4/169.254.169.254/tcp/6002",
            "/ip6zone/2/ip6/fe80::1/tcp/6002",
            "/ip4/255.255.255.255/udp/6002/quic-v1",
            "/ip6/::ffff:169.254.169.254/tcp/6002",
            "/ip4/10.0.0.1/udp/6002",
            "/ip4/10.0.0.1/tcp/80/ws",
            "/dns4/localhost/tcp/1",
            "/ip4/10.0.0.1",
        ];
        for address in addresses {
            assert!(!usable_one(address, true), "{address}");
        }
    }

    fn choose(address: &str, is_private: bool) -> Result<String, Unfit> {
        let id = libp2p::identity::Keypair::generate_ed25519().public().to_peer_id();
        let address = address.replace("ID", &id.to_string()).parse().unwrap();
        chosen(&address, is_private).map(|(peer, place)| {
            assert_eq!(peer, id);
            place.to_string()
        })
    }

    #[test]
    fn a_private_network_has_no_quic() {
        let quic: Multiaddr = "/ip4/10.0.0.1/udp/6002/quic-v1".parse().unwrap();
        let rules = Rules { allow_loopback: false, is_private: true };
        assert!(is_quic(&quic) && !is_usable(&quic, rules, &[], &Networks::default()));
        assert_eq!(choose("/ip4/10.0.0.1/udp/6002/quic-v1/p2p/ID", true), Err(Unfit::Private));
        assert!(choose("/ip4/10.0.0.1/udp/6002/quic-v1/p2p/ID", false).is_ok());
    }

    #[test]
    fn a_persistent_address_may_have_a_name_and_must_name_the_peer() {
        for place in
            ["/dns4/a.example/tcp/1", "/dns/b/udp/2/quic-v1", "/dns6/c/tcp/3", "/ip4/127.0.0.1/tcp/4"]
        {
            assert_eq!(choose(&format!("{place}/p2p/ID"), false).as_deref(), Ok(place));
            assert_eq!(choose(place, false), Err(Unfit::NoPeer));
        }
        assert_eq!(choose("/dnsaddr/a.example/tcp/1/p2p/ID", false), Err(Unfit::Host));
        assert_eq!(choose("/ip4/10.0.0.1/tcp/80/ws/p2p/ID", false), Err(Unfit::Transport));
        assert_eq!(choose("/ip4/10.0.0.1/p2p/ID", false), Err(Unfit::Transport));
    }

    #[tokio::test]
    async fn names_become_addresses_of_the_right_kind() {
        let places =
            vec!["/dns4/localhost/tcp/7".parse().unwrap(), "/ip6/::1/udp/9/quic-v1".parse().unwrap()];
        let (found, problems) = look_up(places).await;
        assert_eq!(problems, [""; 0]);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["/ip4/127.0.0.1/tcp/7", "/ip6/::1/udp/9/quic-v1"]);
    }
}
