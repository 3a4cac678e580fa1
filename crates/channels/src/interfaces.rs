//! The network interfaces of this host that are suitable for broadcast or multicast.

use crate::interface_kind::VIRTUAL;
use dcache::{Pattern, PatternError};
use if_addrs::IfAddr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Maximum number of IPv4 networks that are used on one interface.
const MAX_NETWORKS: usize = 4;

/// A network interface with its networks and addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Name of the interface, such as `wlan0`.
    pub name: String,
    /// Index of the interface in the operating system.
    pub index: u32,
    /// IPv4 networks, in the order of the operating system.
    pub networks: Vec<Network>,
    /// IPv6 link-local address.
    pub link_local: Option<Ipv6Addr>,
    /// IPv6 address that is valid on other networks, too.
    pub global: Option<Ipv6Addr>,
}

/// An IPv4 network to which an interface leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Address of this host on the network.
    pub address: Ipv4Addr,
    /// Netmask of the network.
    pub netmask: Ipv4Addr,
    /// Broadcast address of the network.
    pub broadcast: Ipv4Addr,
}

impl Network {
    /// Returns whether a host with this address is on the network.
    pub fn contains(&self, host: Ipv4Addr) -> bool {
        host & self.netmask == self.address & self.netmask
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.netmask.to_bits().count_ones())
    }
}

impl Interface {
    fn new(name: &str, index: u32) -> Self {
        Self { name: name.to_owned(), index, networks: Vec::new(), link_local: None, global: None }
    }

    fn take(&mut self, address: &IfAddr) {
        match address {
            IfAddr::V4(v4) if self.networks.len() < MAX_NETWORKS => {
                let network = network(v4).filter(|network| !self.networks.contains(network));
                self.networks.extend(network);
            }
            IfAddr::V4(_) => {}
            IfAddr::V6(v6) if v6.is_link_local() => self.link_local = self.link_local.or(Some(v6.ip)),
            IfAddr::V6(v6) if v6.is_loopback() => {}
            IfAddr::V6(v6) => self.global = self.global.or(Some(v6.ip)),
        }
    }

    fn is_fit(&self) -> bool {
        !self.networks.is_empty() || self.link_local.is_some()
    }

    /// Returns the addresses at which other hosts reach this host: its IPv4 addresses, or else its global IPv6 address.
    /// Link-local addresses are left out, because another host may not know which of its own interfaces leads there.
    pub fn hosts(&self) -> Vec<IpAddr> {
        match self.networks.is_empty() {
            true => self.global.map(IpAddr::V6).into_iter().collect(),
            false => self.networks.iter().map(|network| network.address.into()).collect(),
        }
    }

    /// Returns whether the interface has this address.
    pub(crate) fn is_own(&self, host: IpAddr) -> bool {
        match host {
            IpAddr::V4(host) => self.networks.iter().any(|network| network.address == host),
            IpAddr::V6(host) => [self.link_local, self.global].contains(&Some(host)),
        }
    }
}

impl std::fmt::Display for Interface {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let networks = self.networks.iter().map(Network::to_string);
        let addresses = networks.chain(self.link_local.map(|host| host.to_string())).collect::<Vec<_>>();
        // Two addresses are enough to recognise the interface.
        write!(f, "{} ({})", self.name, addresses[..addresses.len().min(2)].join(", "))
    }
}

fn network(v4: &if_addrs::Ifv4Addr) -> Option<Network> {
    let broadcast = match v4.is_loopback() {
        true => Some(v4.ip | !v4.netmask),
        false => v4.broadcast.filter(|broadcast| *broadcast != v4.ip),
    };
    Some(Network { address: v4.ip, netmask: v4.netmask, broadcast: broadcast? })
}

/// Selects the interfaces to use: those that match a pattern or, without patterns, all but the virtual ones.
#[derive(Clone, Debug, Default)]
pub struct InterfaceFilter {
    wanted: Vec<Pattern>,
}

/// Error for a pattern of interface names that is not a valid glob.
#[derive(Debug, thiserror::Error)]
#[error("invalid pattern for interface names: {0}")]
pub struct InterfaceFilterError(#[from] PatternError);

impl InterfaceFilter {
    /// Returns a filter for the interfaces that match one of `patterns`, such as `wlan*`.
    ///
    /// # Errors
    /// When a pattern is not a valid glob.
    pub fn new(patterns: &[String]) -> Result<Self, InterfaceFilterError> {
        let wanted = patterns.iter().map(|pattern| Pattern::new(pattern));
        Ok(Self { wanted: wanted.collect::<Result<_, _>>()? })
    }

    /// Returns the configured patterns, for display.
    pub(crate) fn patterns(&self) -> String {
        self.wanted.iter().map(|wanted| wanted.as_str()).collect::<Vec<_>>().join(", ")
    }

    fn allows(&self, interface: &str) -> bool {
        if !self.wanted.is_empty() {
            return self.names(interface);
        }
        !matches_any(VIRTUAL, interface)
    }

    /// Returns whether a configured pattern matches the interface.
    pub(crate) fn names(&self, interface: &str) -> bool {
        self.wanted.iter().any(|wanted| wanted.matches_text(interface))
    }

    /// Returns the interfaces that are suitable at this moment, ordered by index.
    ///
    /// # Errors
    /// When the operating system cannot list its interfaces.
    pub fn interfaces(&self) -> std::io::Result<Vec<Interface>> {
        let mut interfaces: Vec<Interface> = Vec::new();
        for found in if_addrs::get_if_addrs()?.iter().filter(|found| self.is_usable(found)) {
            let Some(index) = found.index else { continue };
            let place = interfaces.iter().position(|known| known.index == index).unwrap_or_else(|| {
                interfaces.push(Interface::new(&found.name, index));
                interfaces.len() - 1
            });
            interfaces[place].take(&found.addr);
        }
        interfaces.retain(Interface::is_fit);
        interfaces.sort_by_key(|interface| interface.index);
        Ok(interfaces)
    }

    fn is_usable(&self, found: &if_addrs::Interface) -> bool {
        // The loopback interface also has a broadcast address, but it is used only when a pattern names it.
        let is_wire = found.is_oper_up() && !found.is_p2p() && !found.is_loopback();
        let is_named = !self.wanted.is_empty() && found.is_loopback();
        (is_wire || is_named) && self.allows(&found.name)
    }
}

/// Returns whether one of the patterns matches an interface name.
pub(crate) fn matches_any(patterns: &[&str], interface: &str) -> bool {
    patterns.iter().any(|pattern| Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_text(interface)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_interfaces_are_left_out_unless_named() {
        let default = InterfaceFilter::default();
        assert!(default.allows("wlan0") && default.allows("eth0") && default.allows("enp3s0"));
        assert!(!default.allows("docker0") && !default.allows("veth12ab") && !default.allows("br-9f"));
        let named = InterfaceFilter::new(&["docker*".to_owned()]).unwrap();
        assert!(named.allows("docker0") && !named.allows("eth0"));
        assert!(InterfaceFilter::new(&["[".to_owned()]).is_err());
    }

    #[test]
    fn a_network_knows_its_hosts() {
        let [address, netmask, broadcast] =
            [[10, 77, 0, 1], [255, 255, 255, 0], [10, 77, 0, 255]].map(Ipv4Addr::from);
        let network = Network { address, netmask, broadcast };
        assert!(network.contains([10, 77, 0, 9].into()));
        assert!(!network.contains([10, 78, 0, 9].into()));
        assert_eq!(network.to_string(), "10.77.0.1/24");
    }

    fn v6(ip: &str) -> IfAddr {
        let ip = ip.parse().unwrap();
        IfAddr::V6(if_addrs::Ifv6Addr { ip, netmask: Ipv6Addr::UNSPECIFIED, prefixlen: 64, broadcast: None })
    }

    #[test]
    fn an_interface_without_ipv4_is_suitable_too() {
        let mut interface = Interface::new("wlan0", 3);
        interface.take(&v6("2001:db8::1"));
        assert!(!interface.is_fit());
        interface.take(&v6("fe80::1"));
        assert!(interface.is_fit() && interface.is_own("fe80::1".parse().unwrap()));
        assert_eq!(interface.hosts(), ["2001:db8::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(interface.to_string(), "wlan0 (fe80::1)");
    }

    #[test]
    fn the_loopback_is_used_only_when_named() {
        let is_loopback = |interface: &Interface| interface.name == "lo";
        assert!(!InterfaceFilter::default().interfaces().unwrap().iter().any(is_loopback));
        let named = InterfaceFilter::new(&["lo".to_owned()]).unwrap();
        let interfaces = named.interfaces().unwrap();
        let [loopback] = interfaces.as_slice() else { panic!("{interfaces:?}") };
        assert_eq!(loopback.networks[0].broadcast, Ipv4Addr::new(127, 255, 255, 255));
        assert_eq!(loopback.to_string(), "lo (127.0.0.1/8)");
        assert_eq!(named.patterns(), "lo");
    }
}
