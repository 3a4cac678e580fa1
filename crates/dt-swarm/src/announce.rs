//! Chooses the IPFS addresses that this node announces to its peers, and their order. The order matters, because peers
//! use only a few addresses of each peer.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use channels::{InterfaceKind, LocalAddress};
use ipfs::Multiaddr;
use ipfs::node::host_of;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Maximum number of addresses that are announced. Peers use no more addresses of one peer.
const MAX_ADDRESSES: usize = 16;
/// Maximum number of IP addresses of one interface. With IPv6, an interface often has several.
const MAX_HOSTS: usize = 4;

/// Properties of an interface that depend on the peers heard on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Hearing {
    /// Whether a peer was heard lately.
    pub(crate) is_heard: bool,
    /// Whether a peer on this interface has only a link-local address.
    pub(crate) needs_link_local: bool,
}

/// Returns the listening addresses to announce, the most likely reachable ones first.
///
/// Addresses of bridges, virtual interfaces of containers and tunnels are announced only if the configuration names the
/// interface, or if there is no better interface. The reason is that many hosts have the same addresses on such
/// interfaces. The list contains one address of each interface in turn, beginning with the interfaces on which peers
/// were heard. A link-local address is announced if the interface has no other address, or if a peer on it has no other
/// address.
pub(crate) fn told(
    listening: &[Multiaddr],
    local: &[LocalAddress],
    hearing: impl Fn(u32) -> Hearing,
) -> Vec<Multiaddr> {
    let mut interfaces: BTreeMap<(Rank, u32), Vec<Host>> = BTreeMap::new();
    for address in local {
        let host = Host::new(address.ip, listening);
        if host.addresses.is_empty() {
            continue;
        }
        let rank = Rank::of(address, hearing(address.interface));
        interfaces.entry((rank, address.interface)).or_default().push(host);
    }
    let best = interfaces.keys().map(|(rank, _)| rank.kind).min().unwrap_or(InterfaceKind::Wire);
    interfaces.retain(|(rank, _), _| rank.kind <= best);
    let turns = interfaces.into_iter().map(|((_, index), hosts)| chosen(hosts, hearing(index)));
    let mut turns: Vec<_> = turns.map(Vec::into_iter).collect();
    let mut told: Vec<Multiaddr> = Vec::new();
    for _ in 0..MAX_HOSTS {
        for host in turns.iter_mut().filter_map(Iterator::next) {
            told.extend(host.addresses);
        }
    }
    told.truncate(MAX_ADDRESSES);
    told
}

/// Adds the addresses at which others reach this node from outside its networks: those at a router, and those through
/// relays. The last direct addresses, which are the least likely to be reachable, make room for them.
pub(crate) fn with_outside(
    mut direct: Vec<Multiaddr>,
    reached: Vec<Multiaddr>,
    relayed: Vec<Multiaddr>,
) -> Vec<Multiaddr> {
    let others: Vec<Multiaddr> = reached.into_iter().filter(|address| !direct.contains(address)).collect();
    direct.truncate(MAX_ADDRESSES.saturating_sub(others.len() + relayed.len()));
    direct.extend(others);
    direct.extend(relayed);
    direct
}

/// Sort key of an interface. Interfaces that probably reach other robots sort first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    kind: InterfaceKind,
    is_down: bool,
    is_silent: bool,
}

impl Rank {
    fn of(address: &LocalAddress, hearing: Hearing) -> Self {
        // An interface that the configuration names ranks like a wired one.
        let kind = if address.is_named { InterfaceKind::Wire } else { address.kind };
        Self { kind, is_down: !address.is_up, is_silent: !hearing.is_heard }
    }
}

/// An IP address of this host, with the listening addresses on it.
struct Host {
    ip: IpAddr,
    addresses: Vec<Multiaddr>,
}

impl Host {
    fn new(ip: IpAddr, listening: &[Multiaddr]) -> Self {
        let is_here = |address: &&Multiaddr| host_of(address) == Some(ip);
        // Link-local addresses cannot be dialled over QUIC.
        let is_fit = |address: &&Multiaddr| !is_link_local(ip) || address.to_string().contains("/tcp/");
        let addresses = listening.iter().filter(is_here).filter(is_fit).cloned().collect();
        Self { ip, addresses }
    }
}

/// Chooses the IP addresses of one interface. IPv4 comes first, because it has the smallest headers and needs no zone.
fn chosen(mut hosts: Vec<Host>, hearing: Hearing) -> Vec<Host> {
    let has_other = hosts.iter().any(|host| !is_link_local(host.ip));
    hosts.retain(|host| !is_link_local(host.ip) || !has_other || hearing.needs_link_local);
    hosts.sort_by_key(|host| (host.ip.is_ipv6(), is_link_local(host.ip)));
    // Keeps the first addresses and the last one, because a link-local address is the last.
    while hosts.len() > MAX_HOSTS {
        hosts.remove(MAX_HOSTS - 1);
    }
    hosts
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(ip: &str, interface: u32, kind: InterfaceKind) -> LocalAddress {
        LocalAddress { ip: ip.parse().unwrap(), interface, kind, is_up: true, is_named: false }
    }

    fn listening(local: &[LocalAddress]) -> Vec<Multiaddr> {
        let both = |address: &LocalAddress| {
            let family = if address.ip.is_ipv4() { "ip4" } else { "ip6" };
            let host = format!("/{family}/{}", address.ip);
            [format!("{host}/tcp/6002"), format!("{host}/udp/6002/quic-v1")]
        };
        local.iter().flat_map(both).map(|address| address.parse().unwrap()).collect()
    }

    /// The announced addresses, each as its IP address with `t` for TCP or `q` for QUIC.
    fn short(local: &[LocalAddress], hearing: impl Fn(u32) -> Hearing) -> Vec<String> {
        let text = |address: &Multiaddr| {
            let text = address.to_string();
            let host = text.split('/').nth(2).unwrap().to_owned();
            if text.contains("/tcp/") { format!("{host} t") } else { format!("{host} q") }
        };
        told(&listening(local), local, hearing).iter().map(text).collect()
    }

    fn nobody(_: u32) -> Hearing {
        Hearing::default()
    }

    fn bridges(number: u8) -> Vec<LocalAddress> {
        let bridge = |number: u8| local(&format!("172.{number}.0.1"), number.into(), InterfaceKind::Bridge);
        (17..17 + number).map(bridge).collect()
    }

    #[test]
    fn bridges_of_containers_are_announced_only_until_a_better_interface_appears() {
        let mut all = bridges(10);
        assert_eq!(short(&all, nobody).len(), MAX_ADDRESSES, "there is no better interface");
        all.push(local("192.168.1.12", 99, InterfaceKind::Wire));
        assert_eq!(short(&all, nobody), ["192.168.1.12 t", "192.168.1.12 q"]);
    }

    #[test]
    fn a_named_bridge_or_tunnel_is_announced() {
        let mut all = vec![local("192.168.1.12", 2, InterfaceKind::Wire)];
        all.push(LocalAddress { is_named: true, ..local("10.8.0.2", 3, InterfaceKind::Tunnel) });
        assert_eq!(short(&all, nobody), ["192.168.1.12 t", "192.168.1.12 q", "10.8.0.2 t", "10.8.0.2 q"]);
    }

    #[test]
    fn a_container_announces_its_virtual_interface() {
        let all =
            [local("172.17.0.2", 5, InterfaceKind::Virtual), local("10.8.0.2", 6, InterfaceKind::Tunnel)];
        assert_eq!(short(&all, nobody), ["172.17.0.2 t", "172.17.0.2 q"]);
    }

    #[test]
    fn interfaces_with_peers_come_first_and_addresses_alternate() {
        let mut all = Vec::new();
        for interface in 1..=12u8 {
            all.push(local(&format!("10.{interface}.0.1"), interface.into(), InterfaceKind::Wire));
            for number in 2..9 {
                let ip = format!("2001:db8:{interface}::{number}");
                all.push(local(&ip, interface.into(), InterfaceKind::Wire));
            }
        }
        let heard = |interface| Hearing { is_heard: interface == 12, needs_link_local: false };
        let told = short(&all, heard);
        assert_eq!(told.len(), MAX_ADDRESSES);
        assert_eq!(told[..4], ["10.12.0.1 t", "10.12.0.1 q", "10.1.0.1 t", "10.1.0.1 q"]);
        assert!(told.iter().all(|address| address.starts_with("10.")), "{told:?}");
        all[..8].iter_mut().for_each(|address| address.is_up = false);
        assert_eq!(short(&all[..16], nobody)[0], "10.2.0.1 t", "an interface without a carrier is last");
        assert_eq!(short(&all[8..16], nobody).len(), 2 * MAX_HOSTS);
    }

    #[test]
    fn addresses_outside_have_room_beside_many_direct_ones() {
        let all: Vec<Multiaddr> =
            (1..=16).map(|port| format!("/ip4/10.0.0.1/tcp/{port}").parse().unwrap()).collect();
        let forwarded: Multiaddr = "/ip4/203.0.113.9/tcp/6002".parse().unwrap();
        let relayed: Multiaddr = "/ip4/203.0.113.7/tcp/6002/p2p-circuit".parse().unwrap();
        // An address of this host that is reached from outside is announced already.
        let reached = vec![all[0].clone(), forwarded.clone()];
        let told = with_outside(all.clone(), reached, vec![relayed.clone()]);
        assert_eq!((told.len(), &told[..14]), (MAX_ADDRESSES, &all[..14]));
        assert_eq!(told[14..], [forwarded, relayed]);
        assert_eq!(with_outside(all.clone(), Vec::new(), Vec::new()), all);
    }

    #[test]
    fn a_link_local_address_is_announced_if_this_node_or_a_peer_has_no_other_address() {
        let wire = |ip| local(ip, 2, InterfaceKind::Wire);
        assert_eq!(short(&[wire("fe80::2")], nobody), ["fe80::2 t"]);
        let both = [wire("fe80::2"), wire("10.0.0.2")];
        assert_eq!(short(&both, nobody), ["10.0.0.2 t", "10.0.0.2 q"]);
        let needed = |_| Hearing { is_heard: true, needs_link_local: true };
        assert_eq!(short(&both, needed), ["10.0.0.2 t", "10.0.0.2 q", "fe80::2 t"]);
    }
}
