//! The addresses of this host, with the properties of their interfaces.

use crate::interface_kind::InterfaceKind;
use crate::interfaces::InterfaceFilter;
use std::net::IpAddr;

/// An address of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The IP address.
    pub ip: IpAddr,
    /// Index of its interface.
    pub interface: u32,
    /// Kind of its interface.
    pub kind: InterfaceKind,
    /// Whether the interface has a carrier.
    pub is_up: bool,
    /// Whether a configured pattern names the interface.
    pub is_named: bool,
}

impl InterfaceFilter {
    /// Returns all addresses of this host except loopback addresses, in the order of the operating system. If patterns
    /// are configured, returns only the addresses of matching interfaces.
    ///
    /// # Errors
    /// When the operating system cannot list its interfaces.
    pub fn local_addresses(&self) -> std::io::Result<Vec<LocalAddress>> {
        let found = if_addrs::get_if_addrs()?.into_iter().filter(|found| !found.is_loopback());
        let address = |found: if_addrs::Interface| {
            let is_named = self.names(&found.name);
            let interface = found.index?;
            let kind = InterfaceKind::of(&found.name, interface, found.is_p2p());
            let address =
                LocalAddress { ip: found.ip(), interface, kind, is_up: found.is_oper_up(), is_named };
            (is_named || self.patterns().is_empty()).then_some(address)
        };
        Ok(found.filter_map(address).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_addresses_and_unnamed_interfaces_are_left_out() {
        let all = InterfaceFilter::default().local_addresses().unwrap();
        assert!(!all.iter().any(|address| address.ip.is_loopback() || address.is_named), "{all:?}");
        let none = InterfaceFilter::new(&["no-such-*".to_owned()]).unwrap();
        assert_eq!(none.local_addresses().unwrap(), []);
    }
}
