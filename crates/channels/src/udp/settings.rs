//! How a node speaks UDP, and with which hosts.

use crate::{Choice, Wire};
use std::fmt;
use tokio::sync::watch;

/// How to use UDP.
#[derive(Clone, Debug)]
pub struct UdpSettings {
    /// The port, the same on all hosts (IPSD: 1240).
    pub port: u16,
    /// Where this node takes links; told to others on each network.
    pub line_port: u16,
    /// On which interfaces all are spoken to.
    pub interfaces: Choice,
    /// Hosts that are spoken to one by one.
    pub peers: watch::Receiver<Vec<UdpPeer>>,
    /// How lines are written.
    pub wire: Wire,
}

impl Default for UdpSettings {
    fn default() -> Self {
        let (_, peers) = watch::channel(Vec::new());
        Self { port: 1240, line_port: 8000, interfaces: Choice::default(), peers, wire: Wire::default() }
    }
}

/// A host that broadcasts do not reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UdpPeer {
    /// Its IP address or its name.
    pub host: String,
    /// Its UDP port.
    pub port: u16,
}

impl fmt::Display for UdpPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
