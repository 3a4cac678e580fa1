//! Settings of UDP.

use crate::heard::Heard;
use crate::interfaces::InterfaceFilter;
use crate::wire::Wire;
use std::fmt;
use tokio::sync::watch;

/// How to use UDP.
#[derive(Clone, Debug)]
pub struct UdpSettings {
    /// The port, the same on all hosts (IPSD: 1240).
    pub port: u16,
    /// The TCP port at which this node takes links; others learn it on each network.
    pub line_port: u16,
    /// The interfaces on which this node broadcasts.
    pub interfaces: InterfaceFilter,
    /// Hosts that get a unicast channel.
    pub peers: watch::Receiver<Vec<UdpPeer>>,
    /// Where it is noted which peers are heard on which interface.
    pub heard: Heard,
    /// How lines are written.
    pub wire: Wire,
}

impl Default for UdpSettings {
    fn default() -> Self {
        let (_, peers) = watch::channel(Vec::new());
        Self {
            port: 1240,
            line_port: 8000,
            interfaces: InterfaceFilter::default(),
            peers,
            heard: Heard::default(),
            wire: Wire::default(),
        }
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
