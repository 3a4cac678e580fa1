//! Decides which addresses are near: those on one of the networks of this host.
use std::net::IpAddr;
use std::time::{Duration, Instant};

use if_addrs::IfAddr;
use libp2p::Multiaddr;

use super::addresses::{self, is_link_local};

/// Time after which the list of networks is read again.
const FRESH: Duration = Duration::from_secs(5);
/// Maximum number of networks that are remembered.
const MAX_NETWORKS: usize = 64;
/// Shortest prefix of an IPv6 network that counts as near. A network with a shorter prefix belongs to a provider and is
/// not a single link.
const LEAST_IPV6_PREFIX: u8 = 64;

/// The networks to which this host is connected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// The address of this host and the mask, for each network.
    networks: Vec<(u128, u128)>,
    read: Option<Instant>,
}

impl Networks {
    /// Reads the networks that this host has now.
    pub fn current() -> Self {
        let mut networks = Self::default();
        networks.read();
        networks
    }

    /// Reads the interfaces again if the list is older than [`FRESH`].
    pub(super) fn fresh(&mut self) -> &Self {
        if self.read.is_none_or(|read| read.elapsed() > FRESH) {
            self.read();
        }
        self
    }

    fn read(&mut self) {
        self.read = Some(Instant::now());
        match if_addrs::get_if_addrs() {
            Ok(found) => {
                let networks = found.iter().filter(|found| !found.is_loopback());
                self.networks =
                    networks.filter_map(|found| network(&found.addr)).take(MAX_NETWORKS).collect();
            }
            Err(error) => tracing::debug!(%error, "the networks of this host are not known"),
        }
    }

    /// Returns whether an address is near.
    pub fn is_near(&self, address: &Multiaddr) -> bool {
        addresses::host_of(address).is_some_and(|ip| self.is_near_ip(ip))
    }

    fn is_near_ip(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        let may_be_near = match ip {
            IpAddr::V4(ip) => ip.is_private() || ip.is_link_local(),
            IpAddr::V6(_) => true,
        };
        let is_on_one = || self.networks.iter().any(|(own, mask)| (bits(ip) ^ own) & mask == 0);
        ip.is_loopback() || is_link_local(ip) || (may_be_near && is_on_one())
    }
}

/// Returns the bits of an address, with IPv4 addresses mapped to IPv6, so that one comparison serves both.
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// Returns the network of an address of this host, or `None` for one that is larger than a single link.
fn network(address: &IfAddr) -> Option<(u128, u128)> {
    match address {
        IfAddr::V4(own) => {
            let mask = u128::MAX << 32 | u128::from(own.netmask.to_bits());
            Some((bits(own.ip.into()), mask))
        }
        IfAddr::V6(own) if own.prefixlen < LEAST_IPV6_PREFIX || is_link_local(own.ip.into()) => None,
        IfAddr::V6(own) => Some((own.ip.to_bits(), mask(own.prefixlen))),
    }
}

fn mask(prefix: u8) -> u128 {
    let host_bits = u32::from(128 - prefix.min(128));
    u128::MAX.checked_shl(host_bits).unwrap_or(0)
}

/// For tests, and for callers that get the networks from another source.
impl FromIterator<(IpAddr, u8)> for Networks {
    fn from_iter<T: IntoIterator<Item = (IpAddr, u8)>>(networks: T) -> Self {
        let network = |(ip, prefix): (IpAddr, u8)| {
            let prefix = if ip.is_ipv4() { prefix + 96 } else { prefix };
            (bits(ip), mask(prefix))
        };
        Self { networks: networks.into_iter().map(network).collect(), read: Some(Instant::now()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(own: &[(&str, u8)], address: &str) -> bool {
        let networks: Networks = own.iter().map(|(ip, prefix)| (ip.parse().unwrap(), *prefix)).collect();
        networks.is_near(&address.parse().unwrap())
    }

    #[test]
    fn peers_on_an_own_network_are_near() {
        let own = [("10.77.0.1", 24), ("fd00:1::1", 64), ("2001:db8:1::1", 64)];
        for address in [
            "/ip4/10.77.0.254/tcp/1",
            "/ip4/127.0.0.1/tcp/1",
            "/ip6/::1/tcp/1",
            "/ip6/::ffff:10.77.0.9/tcp/1",
            "/ip6/fe80::7/udp/1/quic-v1",
            "/ip6zone/3/ip6/fe80::7/tcp/1",
            "/ip6/fd00:1::77/tcp/1",
            "/ip6/2001:db8:1::77/tcp/1",
        ] {
            assert!(near(&own, address), "{address}");
        }
    }

    #[test]
    fn all_other_addresses_are_far() {
        let own = [("10.77.0.1", 24), ("203.0.113.7", 20), ("fd00:1::1", 64)];
        for address in [
            "/ip4/10.77.1.1/tcp/1",
            "/ip4/192.168.0.1/tcp/1",
            // On the same network of a provider as this host.
            "/ip4/203.0.113.8/tcp/1",
            "/ip6/fd00:2::1/tcp/1",
            "/ip6/2001:db8::1/tcp/1",
            "/dns4/localhost/tcp/1",
        ] {
            assert!(!near(&own, address), "{address}");
        }
    }

    #[test]
    fn the_interfaces_of_this_host_are_read() {
        let networks = Networks::current();
        assert!(networks.is_near(&"/ip4/127.0.0.1/tcp/1".parse().unwrap()));
        assert!(!networks.is_near(&"/ip4/203.0.113.8/tcp/1".parse().unwrap()));
    }
}
