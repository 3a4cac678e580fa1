//! Assignment of addresses to the hosts of a network.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Error, Result};

/// Maximum number of hosts on one network: the values of an address's last byte without 0 and 255.
const HOSTS_PER_NETWORK: u32 = 254;

/// The addresses 10.77.K.0/24 of one network, assigned in order.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    /// K, the third byte of the addresses.
    number: u8,
    hosts: Arc<AtomicU32>,
}

impl Addresses {
    pub(crate) fn of_network(number: u8) -> Self {
        Self { number, hosts: Arc::new(AtomicU32::new(0)) }
    }

    pub(crate) fn next(&self) -> Result<Ipv4Addr> {
        let host = 1 + self.hosts.fetch_add(1, Ordering::Relaxed);
        match u8::try_from(host) {
            Ok(last) if host <= HOSTS_PER_NETWORK => Ok(Ipv4Addr::new(10, 77, self.number, last)),
            _ => Err(Error::Full(format!("host {host} of 10.77.{}.0/24", self.number))),
        }
    }
}
