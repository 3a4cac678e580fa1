//! This host's addresses, with what is known of the interface of each.

use crate::interface_kind::InterfaceKind;
use crate::interfaces::InterfaceFilter;
use std::net::IpAddr;

/// An address of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalAddress {
    /// The address.
    pub ip: IpAddr,
    /// The number of its interface.
    pub interface: u32,
    /// The kind of its interface.
    pub kind: InterfaceKind,
    /// Whether the interface has a carrier.
    pub is_up: bool,
    /// Whether somebody named the interface.
    pub is_named: bool,
}

impl InterfaceFilter {
    /// Returns all addresses of this host but those of the loopback, in the order of the operating system. When interfaces
    /// are named, only those of the named ones.
    ///
    /// # Errors
    /// When the operating system does not tell its interfaces.
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
    fn the_loopback_is_none_of_them_and_only_named_interfaces_are_listed() {
        let all = InterfaceFilter::default().local_addresses().unwrap();
        assert!(!all.iter().any(|address| address.ip.is_loopback() || address.is_named), "{all:?}");
        let none = InterfaceFilter::new(&["no-such-*".to_owned()]).unwrap();
        assert_eq!(none.local_addresses().unwrap(), []);
    }
}
