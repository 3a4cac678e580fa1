//! A network of a lab: hosts that receive each other's broadcasts.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::addresses::Addresses;
use crate::error::Result;
use crate::tool::ip;

/// One broadcast domain: a bridge on the lab's switch, with the addresses 10.77.K.0/24.
#[derive(Debug, Clone)]
pub struct Network {
    pub(crate) switch: String,
    pub(crate) bridge: String,
    addresses: Addresses,
    /// Counts the ports of the whole switch, so that their names are unique.
    ports: Arc<AtomicU32>,
}

impl Network {
    pub(crate) fn unmade(switch: &str, name: &str, number: u8, ports: &Arc<AtomicU32>) -> Self {
        let addresses = Addresses::of_network(number);
        Self { switch: switch.to_owned(), bridge: name.to_owned(), addresses, ports: Arc::clone(ports) }
    }

    pub(crate) fn make(&self) -> Result {
        let (switch, bridge) = (self.switch.as_str(), self.bridge.as_str());
        // Without snooping every multicast reaches every host, as on a simple switch.
        ip(&[
            "-n",
            switch,
            "link",
            "add",
            bridge,
            "type",
            "bridge",
            "forward_delay",
            "0",
            "mcast_snooping",
            "0",
        ])?;
        ip(&["-n", switch, "link", "set", bridge, "up", "addrgenmode", "none"])?;
        Ok(())
    }

    pub(crate) fn next_port(&self) -> String {
        format!("port{}", self.ports.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn next_address(&self) -> Result<Ipv4Addr> {
        self.addresses.next()
    }
}
