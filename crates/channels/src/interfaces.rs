//! Which of this host's networks are fit for broadcasts.

use globset::{Glob, GlobMatcher};
use std::net::Ipv4Addr;

/// Interfaces that lead to containers and virtual machines of this host, not to other robots.
const VIRTUAL: &[&str] =
    &["docker*", "br-*", "veth*", "virbr*", "vnet*", "cni*", "flannel*", "podman*", "lxc*"];

/// An IPv4 network to which an interface leads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Network {
    /// The interface's name.
    pub interface: String,
    /// This host's address on it.
    pub address: Ipv4Addr,
    /// Its netmask.
    pub netmask: Ipv4Addr,
    /// Where all hosts on it listen.
    pub broadcast: Ipv4Addr,
}

impl Network {
    /// Whether a host with this address is on the network.
    pub fn contains(&self, host: Ipv4Addr) -> bool {
        host & self.netmask == self.address & self.netmask
    }
}

/// Which interfaces to use: those that match, or, when none are named, all but the virtual ones.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    wanted: Vec<GlobMatcher>,
}

/// A pattern for interface names that is no glob.
#[derive(Debug, thiserror::Error)]
#[error("not a pattern for interface names: {0}")]
pub struct ChoiceError(#[from] globset::Error);

impl Choice {
    /// The interfaces that match one of `patterns`, such as `wlan*`.
    ///
    /// # Errors
    /// When one is no glob.
    pub fn new(patterns: &[String]) -> Result<Self, ChoiceError> {
        let matcher = |pattern: &String| Glob::new(pattern).map(|glob| glob.compile_matcher());
        Ok(Self { wanted: patterns.iter().map(matcher).collect::<Result<_, _>>()? })
    }

    fn allows(&self, interface: &str) -> bool {
        if !self.wanted.is_empty() {
            return self.wanted.iter().any(|wanted| wanted.is_match(interface));
        }
        let is_virtual =
            |pattern: &&str| Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(interface));
        !VIRTUAL.iter().any(is_virtual)
    }

    /// The fit networks of this moment, in a fixed order.
    ///
    /// # Errors
    /// When the operating system does not tell its interfaces.
    pub fn networks(&self) -> std::io::Result<Vec<Network>> {
        let mut networks: Vec<Network> =
            if_addrs::get_if_addrs()?.iter().filter_map(|at| self.network(at)).collect();
        networks.sort();
        networks.dedup();
        Ok(networks)
    }

    fn network(&self, interface: &if_addrs::Interface) -> Option<Network> {
        let if_addrs::IfAddr::V4(v4) = &interface.addr else { return None };
        // The loopback has a broadcast address too; it is used only when it is asked for by name.
        let is_fit = interface.is_oper_up() && !interface.is_p2p() && !interface.is_loopback();
        let is_named = !self.wanted.is_empty() && interface.is_loopback();
        let broadcast = match interface.is_loopback() {
            true => Some(v4.ip | !v4.netmask),
            false => v4.broadcast.filter(|broadcast| *broadcast != v4.ip),
        };
        let name = interface.name.clone();
        ((is_fit || is_named) && self.allows(&name)).then_some(())?;
        Some(Network { interface: name, address: v4.ip, netmask: v4.netmask, broadcast: broadcast? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn virtual_interfaces_are_left_out_unless_named() {
        let default = Choice::default();
        assert!(default.allows("wlan0") && default.allows("eth0") && default.allows("enp3s0"));
        assert!(!default.allows("docker0") && !default.allows("veth12ab") && !default.allows("br-9f"));
        let named = Choice::new(&["docker*".to_owned()]).unwrap();
        assert!(named.allows("docker0") && !named.allows("eth0"));
        assert!(Choice::new(&["[".to_owned()]).is_err());
    }

    #[test]
    fn a_network_knows_its_hosts() {
        let [address, netmask, broadcast] =
            [[10, 77, 0, 1], [255, 255, 255, 0], [10, 77, 0, 255]].map(Ipv4Addr::from);
        let network = Network { interface: "eth0".to_owned(), address, netmask, broadcast };
        assert!(network.contains([10, 77, 0, 9].into()));
        assert!(!network.contains([10, 78, 0, 9].into()));
    }

    #[test]
    fn the_loopback_is_a_network_only_when_named() {
        let is_loopback = |network: &Network| network.address.is_loopback();
        assert!(!Choice::default().networks().unwrap().iter().any(is_loopback));
        let named = Choice::new(&["lo".to_owned()]).unwrap().networks().unwrap();
        assert_eq!(
            named.iter().map(|network| network.broadcast).collect::<Vec<_>>(),
            [Ipv4Addr::new(127, 255, 255, 255)]
        );
    }
}
