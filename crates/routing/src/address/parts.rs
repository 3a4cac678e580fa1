//! The types of the parts of an address.

use cid::Cid;
use dcache::PeerId;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A value, or the wildcard `*`, which stands for any value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wild<T> {
    /// Any value, written `*`.
    Any,
    /// This one value.
    Is(T),
}

/// One part of an address. Its `Display` output is its text in the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A channel, which is one hop on the way.
    Hop(Hop<'a>),
    /// An IPFS node.
    Node(Node<'a>),
    /// Content of IPFS. It is always the last part.
    Content(Content<'a>),
    /// A component of a peer.
    Peer(Member<'a>),
    /// `/cli`: a command line, which receives answers only on the connection on which it asks.
    CommandLine,
    /// Any other text, up to the end of the address. Other nodes may know more forms than this version. A part that is
    /// to be forwarded over a channel needs to be understood only after that channel.
    Other(&'a str),
}

/// A channel for the line protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop<'a> {
    /// TCP: `/ip4/A/tcp/P/dswarm-line`, or another host.
    Tcp(Socket<'a>),
    /// UDP: `/ip4/A/udp/P/dswarm-line`, or another host.
    Udp(Socket<'a>),
    /// IRC: `/ip4/A/tcp/P/irc/#chan/dswarm-line`, with `/tls` before `/irc` for an encrypted connection.
    Irc {
        /// Host and port of the server.
        server: Socket<'a>,
        /// Whether the connection to the server is encrypted.
        is_tls: bool,
        /// Channel on the server, with its `#`.
        channel: Wild<&'a str>,
    },
    /// IPFS pubsub: `/ipfs-pubsub/TOPIC/dswarm-line`.
    Pubsub {
        /// Name of the topic.
        topic: Wild<&'a str>,
    },
}

/// A host and a port on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket<'a> {
    /// Host part of the address.
    pub host: Host<'a>,
    /// TCP or UDP port.
    pub port: Wild<u16>,
}

/// A host, given by IP address or by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// IPv4 address: `/ip4/A`.
    Ip4(Wild<Ipv4Addr>),
    /// IPv6 address: `/ip6/A`.
    Ip6(Wild<Ipv6Addr>),
    /// Host name: `/dns/NAME`, `/dns4/NAME` or `/dns6/NAME`.
    Name {
        /// Which of the host's addresses are meant.
        family: Family,
        /// Host name in lower case.
        name: Wild<&'a str>,
    },
}

/// Which addresses of a name are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Addresses of both families.
    Any,
    /// Only IPv4 addresses.
    Ip4,
    /// Only IPv6 addresses.
    Ip6,
}

/// An IPFS node: `/ip4/A/tcp/P/p2p/ID` or `/ip4/A/udp/P/quic-v1/p2p/ID`, or with another host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// Host and port where the node listens.
    pub at: Socket<'a>,
    /// Transport for connections to the node.
    pub transport: Transport,
    /// Peer ID of the node, with a key of any type.
    pub peer: Wild<multiaddr::PeerId>,
}

/// The transport of a connection to an IPFS node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP, written `/tcp/P`.
    Tcp,
    /// QUIC version 1, over UDP.
    Quic,
}

/// Content of IPFS: `/ipfs/CID`, or `/ipfs/CID/a/b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    /// CID of the content.
    pub cid: Wild<Cid>,
    /// Path within the content: empty, or one or more segments.
    pub path: &'a str,
}

/// A component of a peer, such as its `brain`: `/dswarm/ID/NAME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Peer ID, or `*` for all peers.
    pub peer: Wild<PeerId>,
    /// Name of the component.
    pub name: &'a str,
}

impl<T> Wild<T> {
    /// Returns the value; `None` for the wildcard.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Any => None,
            Self::Is(value) => Some(value),
        }
    }
}

impl Part<'_> {
    /// Returns the IP address of a channel over TCP or UDP, if it is given as a number.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Part::Hop(Hop::Tcp(socket) | Hop::Udp(socket)) => Some(socket.addr()?.ip()),
            _ => None,
        }
    }
}

impl Socket<'_> {
    /// Returns host and port if both are given as numbers.
    pub fn addr(&self) -> Option<SocketAddr> {
        let ip = match self.host {
            Host::Ip4(ip) => IpAddr::V4(ip.value()?),
            Host::Ip6(ip) => IpAddr::V6(ip.value()?),
            Host::Name { .. } => return None,
        };
        Some(SocketAddr::new(ip, self.port.value()?))
    }
}

impl From<SocketAddr> for Socket<'_> {
    fn from(at: SocketAddr) -> Self {
        let host = match at.ip() {
            IpAddr::V4(ip) => Host::Ip4(Wild::Is(ip)),
            IpAddr::V6(ip) => Host::Ip6(Wild::Is(ip)),
        };
        Self { host, port: Wild::Is(at.port()) }
    }
}

impl<T: fmt::Display> fmt::Display for Wild<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Is(value) => value.fmt(f),
        }
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hop(hop) => hop.fmt(f),
            Self::Node(node) => node.fmt(f),
            Self::Content(content) => write!(f, "/ipfs/{}{}", content.cid, content.path),
            Self::Peer(member) => write!(f, "/dswarm/{}/{}", member.peer, member.name),
            Self::CommandLine => f.write_str("/cli"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for Hop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(Socket { host, port }) => write!(f, "{host}/tcp/{port}/dswarm-line"),
            Self::Udp(Socket { host, port }) => write!(f, "{host}/udp/{port}/dswarm-line"),
            Self::Irc { server: Socket { host, port }, is_tls, channel } => {
                let tls = if *is_tls { "/tls" } else { "" };
                write!(f, "{host}/tcp/{port}{tls}/irc/{channel}/dswarm-line")
            }
            Self::Pubsub { topic } => write!(f, "/ipfs-pubsub/{topic}/dswarm-line"),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip4(ip) => write!(f, "/ip4/{ip}"),
            Self::Ip6(ip) => write!(f, "/ip6/{ip}"),
            Self::Name { family: Family::Any, name } => write!(f, "/dns/{name}"),
            Self::Name { family: Family::Ip4, name } => write!(f, "/dns4/{name}"),
            Self::Name { family: Family::Ip6, name } => write!(f, "/dns6/{name}"),
        }
    }
}

impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Socket { host, port } = self.at;
        match self.transport {
            Transport::Tcp => write!(f, "{host}/tcp/{port}/p2p/{}", self.peer),
            Transport::Quic => write!(f, "{host}/udp/{port}/quic-v1/p2p/{}", self.peer),
        }
    }
}
