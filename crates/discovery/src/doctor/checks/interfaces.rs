//! The network interfaces of this host and their netmasks.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::troubles::{self, Family};
use crate::doctor::faults::INTERFACE_SAME_NETWORK;
use crate::doctor::findings::{names, unknown, warning, works};
use crate::doctor::observed::{LinkNetwork, Observed};
use crate::protocol::Finding;
use telemetry::report;

const CODE: &str = "interfaces";

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    let mut findings = troubles::of(observed, Family::Interfaces);
    let networks = observed.networks.as_deref().unwrap_or_default();
    findings.extend(same_network(networks));
    if findings.is_empty() {
        findings.push(up(networks));
    }
    findings
}

/// Returns a warning if two interfaces lead to the same network.
fn same_network(networks: &[LinkNetwork]) -> Option<Finding> {
    let mut pairs = networks
        .iter()
        .enumerate()
        .flat_map(|(place, first)| networks.iter().skip(place + 1).map(move |second| (first, second)));
    let is_same = |(first, second): &(&LinkNetwork, &LinkNetwork)| {
        let is_one = first.network == second.network && first.netmask == second.netmask;
        is_one && first.interface != second.interface
    };
    let (first, second) = pairs.find(is_same)?;
    let (network, first, second) = (first.show(), first.interface.as_str(), second.interface.as_str());
    Some(warning(&report!(INTERFACE_SAME_NETWORK, first = first, second = second, network = network)))
}

fn up(networks: &[LinkNetwork]) -> Finding {
    let show = |network: &LinkNetwork| {
        let radio = if network.is_wireless { ", Wi-Fi" } else { "" };
        format!("{} ({}{radio})", network.interface, network.show())
    };
    let shown: Vec<String> = networks.iter().map(show).collect();
    match shown.as_slice() {
        [] => unknown(CODE, "no network of this host is known"),
        [one] => works(CODE, format!("the interface {one} is up")),
        some => works(CODE, format!("the interfaces {} are up", names(some))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn network(interface: &str, third: u8) -> LinkNetwork {
        let (network, netmask) = (Ipv4Addr::new(192, 168, third, 0), Ipv4Addr::new(255, 255, 255, 0));
        LinkNetwork { interface: interface.to_owned(), network, netmask, is_wireless: interface == "wlan0" }
    }

    #[test]
    fn two_interfaces_on_one_network_are_a_warning() {
        let check = |networks| check(&Observed { networks: Some(networks), ..Observed::default() }).remove(0);
        let found = check(vec![network("eth0", 1), network("wlan0", 1)]);
        assert_eq!(found.code, "interface.same-network");
        assert!(found.message.contains("192.168.1.0/24"));
        let found = check(vec![network("eth0", 1), network("wlan0", 2), network("wlan0", 2)]);
        assert_eq!(found.code, CODE);
        assert!(found.message.contains("wlan0 (192.168.2.0/24, Wi-Fi)"), "{found:?}");
    }
}
