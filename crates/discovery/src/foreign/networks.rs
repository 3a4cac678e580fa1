//! The IPv4 networks of this host, and the hosts on them that are pinged.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// Maximum number of networks that are used.
pub(super) const MAX_NETWORKS: usize = 16;
/// Maximum number of addresses that are pinged on one interface, as `dts fleet discover` does it.
const MAX_PINGED: usize = 256;
/// Number of leading ones of the netmask of the largest network that is pinged.
const LARGEST: u32 = 16;

/// An IPv4 network of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnNetwork {
    /// Index of the interface that leads to the network.
    pub(super) interface: u32,
    /// Address of this host on the network.
    pub(super) address: Ipv4Addr,
    /// Netmask of the network.
    pub(super) netmask: Ipv4Addr,
}

impl OwnNetwork {
    /// Returns whether a host with this address is on the network.
    pub(super) fn contains(&self, host: IpAddr) -> bool {
        matches!(host.to_canonical(), IpAddr::V4(host) if host & self.netmask == self.address & self.netmask)
    }

    /// Returns the addresses of the other hosts to ping, at most `limit`. Of a network with more addresses, the ones
    /// around the address of this host are taken. A network that is too large has none.
    fn hosts(&self, limit: usize) -> Vec<Ipv4Addr> {
        let (mask, own) = (self.netmask.to_bits(), self.address.to_bits());
        if mask.leading_ones() < LARGEST || mask.leading_ones() + mask.trailing_zeros() != u32::BITS {
            return Vec::new();
        }
        // A block of 256 addresses, or the whole network if it is smaller.
        let block = mask | !0xff;
        let (first, last) = (own & block, own | !block);
        let (network, broadcast) = (own & mask, own | !mask);
        // A network of two hosts has no broadcast address.
        let is_special = |host: u32| !mask > 1 && (host == network || host == broadcast);
        let hosts = (first..=last).filter(|host| *host != own && !is_special(*host));
        hosts.take(limit).map(Ipv4Addr::from_bits).collect()
    }
}

/// Returns whether a host is on one of the networks.
pub(super) fn is_near(networks: &[OwnNetwork], host: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(host))
}

/// Returns the addresses to ping on each network, at most [`MAX_PINGED`] on one interface.
pub(super) fn pinged(networks: &[OwnNetwork]) -> Vec<(OwnNetwork, Vec<Ipv4Addr>)> {
    let mut left: BTreeMap<u32, usize> = BTreeMap::new();
    let mut pinged = Vec::new();
    for network in networks {
        let left = left.entry(network.interface).or_insert(MAX_PINGED);
        let hosts = network.hosts(*left);
        *left -= hosts.len();
        pinged.push((*network, hosts));
    }
    pinged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(interface: u32, address: [u8; 4], ones: u32) -> OwnNetwork {
        let netmask = Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - ones).unwrap_or(0));
        OwnNetwork { interface, address: address.into(), netmask }
    }

    fn count(network: OwnNetwork) -> usize {
        network.hosts(MAX_PINGED).len()
    }

    #[test]
    fn each_other_host_of_a_small_network_is_pinged() {
        assert_eq!(count(network(1, [10, 0, 0, 5], 24)), 253);
        assert_eq!(count(network(1, [10, 0, 0, 5], 30)), 1);
        assert_eq!(count(network(1, [10, 0, 0, 5], 31)), 1);
        assert_eq!(count(network(1, [10, 0, 0, 5], 32)), 0);
        assert_eq!(network(1, [10, 0, 0, 5], 30).hosts(9), [Ipv4Addr::new(10, 0, 0, 6)]);
    }

    #[test]
    fn of_a_large_network_the_addresses_around_the_own_one_are_pinged() {
        let hosts = network(1, [10, 1, 2, 3], 16).hosts(MAX_PINGED);
        assert_eq!((hosts.len(), hosts[0]), (255, Ipv4Addr::new(10, 1, 2, 0)));
        assert_eq!(count(network(1, [10, 1, 2, 3], 15)), 0);
        let odd = OwnNetwork { netmask: Ipv4Addr::new(255, 255, 0, 255), ..network(1, [10, 1, 2, 3], 24) };
        assert_eq!(count(odd), 0, "a netmask with a hole");
    }

    #[test]
    fn an_interface_with_many_networks_is_pinged_no_more_than_others() {
        let networks: Vec<OwnNetwork> =
            (0..9).map(|n| network(1 + u32::from(n == 8), [10, n, 0, 1], 24)).collect();
        let counts: Vec<usize> = pinged(&networks).iter().map(|(_, hosts)| hosts.len()).collect();
        assert_eq!(counts, [253, 3, 0, 0, 0, 0, 0, 0, 253]);
    }

    #[test]
    fn a_network_knows_its_hosts() {
        let network = network(1, [10, 0, 0, 5], 24);
        assert!(network.contains("10.0.0.9".parse().unwrap()));
        assert!(network.contains("::ffff:10.0.0.9".parse().unwrap()));
        assert!(!is_near(&[network], "10.0.1.9".parse().unwrap()));
        assert!(!is_near(&[network], "fe80::1".parse().unwrap()));
    }
}
