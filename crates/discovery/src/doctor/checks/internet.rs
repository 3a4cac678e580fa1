//! Whether this host leads to the internet, and whether an address translator (NAT) is in between.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::findings::{unknown, works};
use crate::doctor::observed::Observed;
use crate::protocol::Finding;
use std::net::IpAddr;

const CODE: &str = "internet";

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let Some(has_route) = observed.has_default_route else { return Vec::new() };
    let own = &observed.own_addresses;
    vec![match (has_route, own.iter().all(|own| is_private(*own))) {
        (false, _) => {
            unknown(CODE, "this host has no default route: it reaches only hosts on its own networks")
        }
        (true, _) if own.is_empty() => works(CODE, "this host has a default route"),
        (true, true) => works(
            CODE,
            "this host has a default route and only private addresses: it is probably behind an address translator \
             (NAT), and hosts outside reach it only over connections that it opens itself",
        ),
        (true, false) => {
            works(CODE, "this host has a default route and an address that other networks can reach")
        }
    }]
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
