//! What the parts of an address mean.

use cid::Cid;
use dcache::PeerId;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A value, or the `*` that stands for any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wild<T> {
    /// `*`.
    Any,
    /// This one.
    Is(T),
}

/// One part of an address. Printed, it is its text in the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// A channel: a hop on the way.
    Hop(Hop<'a>),
    /// A node of IPFS.
    Node(Node<'a>),
    /// Content of IPFS; nothing follows it.
    Content(Content<'a>),
    /// Somebody in a peer.
    Peer(Member<'a>),
    /// `/cli`: somebody at a command line, who listens only on the connection on which he asks.
    CommandLine,
    /// Anything else, up to the end of the address. Others may know more forms than this version, and what is to be sent
    /// onwards over a channel need be understood only there.
    Other(&'a str),
}

/// A channel for the line protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop<'a> {
    /// `/ip4/A/tcp/P/dswarm-line`.
    Tcp(Socket<'a>),
    /// `/ip4/A/udp/P/dswarm-line`.
    Udp(Socket<'a>),
    /// `/ip4/A/tcp/P/irc/#chan/dswarm-line`, with `/tls` before `/irc` when that is used.
    Irc {
        /// Where the server is.
        server: Socket<'a>,
        /// Whether the connection with it is encrypted.
        is_tls: bool,
        /// The server's channel, with its `#`.
        channel: Wild<&'a str>,
    },
    /// `/ipfs-pubsub/TOPIC/dswarm-line`.
    Pubsub {
        /// The topic.
        topic: Wild<&'a str>,
    },
}

/// A host and a port on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port.
    pub port: Wild<u16>,
}

/// A host of the internet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// `/ip4/A`.
    Ip4(Wild<Ipv4Addr>),
    /// `/ip6/A`.
    Ip6(Wild<Ipv6Addr>),
    /// `/dns/NAME`, `/dns4/NAME` or `/dns6/NAME`.
    Name {
        /// Which of its addresses are meant.
        family: Family,
        /// The name, in lower case.
        name: Wild<&'a str>,
    },
}

/// Which addresses of a name are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// All.
    Any,
    /// Those of IPv4.
    Ip4,
    /// Those of IPv6.
    Ip6,
}

/// `/ip4/A/tcp/P/p2p/ID` or `/ip4/A/udp/P/quic-v1/p2p/ID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node<'a> {
    /// Where it listens.
    pub at: Socket<'a>,
    /// By what.
    pub transport: Transport,
    /// Who it is, with a key of any kind.
    pub peer: Wild<multiaddr::PeerId>,
}

/// What nodes of IPFS are connected by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// QUIC, version 1, over UDP.
    Quic,
}

/// `/ipfs/CID`, or `/ipfs/CID/a/b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content<'a> {
    /// Which.
    pub cid: Wild<Cid>,
    /// What within it: empty, or segments.
    pub path: &'a str,
}

/// `/dswarm/ID/NAME`; the name is that of somebody in the peer, such as its `brain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// The peer; any, when everybody's is meant.
    pub peer: Wild<PeerId>,
    /// The name.
    pub name: &'a str,
}

impl<T> Wild<T> {
    /// The value, if there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Any => None,
            Self::Is(value) => Some(value),
        }
    }
}

impl Part<'_> {
    /// Returns the IP address of a channel over TCP or UDP, when it is given as a number.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Part::Hop(Hop::Tcp(socket) | Hop::Udp(socket)) => Some(socket.addr()?.ip()),
            _ => None,
        }
    }
}

impl Socket<'_> {
    /// Host and port, when both are given as numbers.
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
