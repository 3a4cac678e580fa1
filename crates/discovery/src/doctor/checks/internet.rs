//! Whether this host leads to the internet, whether an address translator (NAT) is in between, and whether hosts outside
//! reach this one.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::findings::{names, unknown, works};
use crate::doctor::observed::Observed;
use crate::protocol::Finding;
use ipfs::Multiaddr;
use ipfs::node::{NatKind, Outside, RouterPort};
use std::net::IpAddr;

const CODE: &str = "internet";
const NAT: &str = "nat";
const UPNP: &str = "upnp";

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    route(observed).into_iter().chain(nat(&observed.outside)).chain(upnp(&observed.outside)).collect()
}

fn route(observed: &Observed) -> Option<Finding> {
    let has_route = observed.has_default_route?;
    let own = &observed.own_addresses;
    let is_nat_known = observed.outside.nat != NatKind::Unknown;
    Some(match (has_route, own.iter().all(|own| is_private(*own))) {
        (false, _) => {
            unknown(CODE, "this host has no default route: it reaches only hosts on its own networks")
        }
        (true, _) if own.is_empty() || is_nat_known => works(CODE, "this host has a default route"),
        (true, true) => works(
            CODE,
            "this host has a default route and only private addresses: it is probably behind an address translator \
             (NAT), and hosts outside reach it only over connections that it opens itself",
        ),
        (true, false) => {
            works(CODE, "this host has a default route and an address that other networks can reach")
        }
    })
}

/// Says what servers in other networks found.
fn nat(outside: &Outside) -> Option<Finding> {
    let translator = match outside.nat {
        NatKind::Unknown => return None,
        NatKind::None => "there is no address translator (NAT) before this host",
        NatKind::SamePort => {
            "this host is behind an address translator (NAT) that shows all others the same port"
        }
        NatKind::PortPerDestination => {
            "this host is behind an address translator (NAT) that shows each other host another port (symmetric NAT)"
        }
        NatKind::ChangedPort => "this host is behind an address translator (NAT) that changes the port",
    };
    let shown =
        |addresses: &[Multiaddr]| names(&addresses.iter().map(Multiaddr::to_string).collect::<Vec<_>>());
    let reach = match (outside.reached.as_slice(), outside.unreached.as_slice(), outside.nat) {
        (reached @ [_, ..], _, _) => {
            format!("a server in another network reached this host at {}", shown(reached))
        }
        ([], unreached @ [_, ..], NatKind::None) => format!(
            "a server in another network did not reach it at {}, because a firewall keeps connections out; other \
             robots reach it through a relay",
            shown(unreached)
        ),
        (_, _, NatKind::None) => "no server in another network has checked whether it is reached".to_owned(),
        (_, _, NatKind::PortPerDestination) => {
            "robots behind other such translators reach it only through a relay".to_owned()
        }
        _ => "other robots reach it through a relay, and then usually directly".to_owned(),
    };
    Some(works(NAT, format!("{translator}: {reach}")))
}

/// Says what the router answered, if it was asked.
fn upnp(outside: &Outside) -> Option<Finding> {
    Some(match outside.router_port.as_ref()? {
        RouterPort::Forwarded(address) => {
            works(UPNP, format!("the router forwards the port of IPFS from {address} to this host (UPnP)"))
        }
        RouterPort::Failed(reason) => {
            unknown(UPNP, format!("no router forwards the port of IPFS to this host (UPnP): {reason}"))
        }
    })
}

/// Returns whether an address is of use only within a site. This includes the addresses that providers share among
/// customers (100.64.0.0/10).
fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            ip.is_private() || ip.is_link_local() || ip.is_loopback() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_unicast_link_local() || ip.is_loopback(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(nat: NatKind, reached: &[&str], unreached: &[&str]) -> String {
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        let (reached, unreached) = (addresses(reached), addresses(unreached));
        let outside = Outside { nat, reached, unreached, router_port: None };
        super::nat(&outside).unwrap().message
    }

    #[test]
    fn what_servers_found_is_told() {
        assert_eq!(super::nat(&Outside::default()), None);
        let at = "/ip4/203.0.113.7/tcp/6002";
        assert!(told(NatKind::None, &[at], &[]).ends_with(&format!("reached this host at {at}")));
        assert!(told(NatKind::SamePort, &[at], &[]).contains("reached this host"), "a port is forwarded");
        assert!(told(NatKind::None, &[], &[at]).contains("firewall"));
        assert!(told(NatKind::SamePort, &[], &[at]).ends_with("usually directly"));
        assert!(told(NatKind::PortPerDestination, &[], &[at]).contains("only through a relay"));
    }

    #[test]
    fn the_answer_of_the_router_is_told_if_it_was_asked() {
        let port = |router_port| super::upnp(&Outside { router_port, ..Outside::default() });
        assert_eq!(port(None), None);
        let at = "/ip4/203.0.113.7/tcp/6002";
        assert!(port(Some(RouterPort::Forwarded(at.parse().unwrap()))).unwrap().message.contains(at));
        let failed = port(Some(RouterPort::Failed("no router".to_owned()))).unwrap();
        assert!(failed.message.ends_with(": no router"));
    }

    #[test]
    fn private_addresses_are_recognised() {
        for private in ["10.0.0.1", "172.31.0.1", "192.168.1.1", "100.127.0.1", "fd00::1", "fe80::1"] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["192.0.2.1", "172.32.0.1", "100.128.0.1", "2001:db8::1"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }
}
