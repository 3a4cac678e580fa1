//! Settings of UDP.

use crate::heard::Heard;
use crate::interfaces::InterfaceFilter;
use crate::wire::Wire;
use std::fmt;
use std::net::Ipv4Addr;
use tokio::sync::watch;

/// Settings of the UDP channels.
#[derive(Clone, Debug)]
pub struct UdpSettings {
    /// UDP port, the same on all hosts; 1240 in IPSD.
    pub port: u16,
    /// TCP port on which this node accepts links. Other nodes learn it on each network.
    pub line_port: u16,
    /// Interfaces on which this node broadcasts.
    pub interfaces: InterfaceFilter,
    /// Hosts that get a unicast channel.
    pub peers: watch::Receiver<Vec<UdpPeer>>,
    /// Hosts at which peers were reached before. A sweep of a network on which nobody is heard asks them first.
    pub known: watch::Receiver<Vec<Ipv4Addr>>,
    /// Hosts at which a robot was found by other means than lines. While nobody else is heard on their network, each is
    /// asked at once.
    pub nearby: watch::Receiver<Vec<Ipv4Addr>>,
    /// Records which peers are heard on which interface.
    pub heard: Heard,
    /// Encoding of the lines.
    pub wire: Wire,
}

impl Default for UdpSettings {
    fn default() -> Self {
        let ((_, peers), (_, known)) = (watch::channel(Vec::new()), watch::channel(Vec::new()));
        let (_, nearby) = watch::channel(Vec::new());
        Self {
            port: 1240,
            line_port: 8000,
            interfaces: InterfaceFilter::default(),
            peers,
            known,
            nearby,
            heard: Heard::default(),
            wire: Wire::default(),
        }
    }
}

/// A configured host that broadcasts do not reach.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UdpPeer {
    /// IP address or host name.
    pub host: String,
    /// UDP port of the host.
    pub port: u16,
}

impl fmt::Display for UdpPeer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}
