//! Conversions between addresses and the multiaddresses of libp2p, where both can express the same.
//!
//! | address | multiaddress | lost on the way there | lost on the way back |
//! |---|---|---|---|
//! | `/ip4/A/tcp/P/p2p/ID`, `/ip4/A/udp/P/quic-v1/p2p/ID` | the same text | nothing | nothing ([`Address::node_at`]) |
//! | `/ip4/A/tcp/P/dswarm-line/dswarm/ID/brain` | `/ip4/A/tcp/P/p2p/ID` | that the port speaks the line protocol, and that the brain is meant | that the port speaks libp2p ([`Address::brain_at`]) |
//!
//! The same holds for `ip6`, `dns`, `dns4` and `dns6`. All other addresses have no multiaddress.

use super::chain::Address;
use super::error::AddressError;
use super::parts::{Family, Hop, Host, Member, Node, Part, Socket, Transport, Wild};
use dcache::PeerId;
use multiaddr::{Multiaddr, Protocol};

/// Reason why an address has no multiaddress, or a multiaddress no address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MultiaddressError {
    /// The address contains a `*`.
    #[error("a multiaddress names one host, port and peer; this address has a `*`")]
    Wildcard,
    /// A channel that libp2p does not speak.
    #[error("libp2p has no {0}, so there is no multiaddress for it")]
    Channel(&'static str),
    /// Content is not at one place.
    #[error("content may be anywhere, so it has no multiaddress")]
    Content,
    /// Neither an IPFS node, nor the line protocol over TCP to a peer's brain.
    #[error("only an IPFS node and a brain reached over TCP have multiaddresses")]
    Form,
    /// The multiaddress has another form than `/ip4/A/tcp/P/p2p/ID` or `/ip4/A/udp/P/quic-v1/p2p/ID`.
    #[error("not of the form /ip4/A/tcp/P/p2p/ID or /ip4/A/udp/P/quic-v1/p2p/ID: {0}")]
    Multiaddress(String),
    /// The peer cannot have a brain, because its key is not an Ed25519 key.
    #[error("the key of {0} is not an Ed25519 key, so it is no peer of a swarm")]
    Peer(String),
    /// The parts of the multiaddress are not valid in an address.
    #[error(transparent)]
    Address(#[from] AddressError),
}

type Result<T> = std::result::Result<T, MultiaddressError>;

impl Address {
    /// Returns the multiaddress of an IPFS node, or of the host, port and peer of a brain.
    ///
    /// # Errors
    /// When the address has no multiaddress.
    pub fn to_multiaddr(&self) -> Result<Multiaddr> {
        let mut parts = self.parts();
        match (parts.next(), parts.next(), parts.next()) {
            (Some(Part::Node(node)), None, _) => multiaddr(node.at, node.transport, node.peer),
            (Some(Part::Hop(Hop::Tcp(at))), Some(Part::Peer(Member { peer, name: "brain" })), None) => {
                multiaddr(at, Transport::Tcp, libp2p_peer(peer)?)
            }
            (Some(Part::Hop(hop)), ..) => Err(no_channel(hop)),
            (Some(Part::Content(_)), ..) => Err(MultiaddressError::Content),
            _ => Err(MultiaddressError::Form),
        }
    }

    /// Returns the address of the IPFS node with this multiaddress.
    ///
    /// # Errors
    /// When the multiaddress is not that of a node reached directly over TCP or QUIC.
    pub fn node_at(at: &Multiaddr) -> Result<Self> {
        let node = node(at).ok_or_else(|| MultiaddressError::Multiaddress(at.to_string()))?;
        Ok(Self::from_parts([Part::Node(node)])?)
    }

    /// Returns the address of the brain of the peer with this multiaddress. Assumes that the port uses the line
    /// protocol.
    ///
    /// # Errors
    /// When the multiaddress is not that of a peer reached directly over TCP.
    pub fn brain_at(at: &Multiaddr) -> Result<Self> {
        let form = || MultiaddressError::Multiaddress(at.to_string());
        let node = node(at).filter(|node| node.transport == Transport::Tcp).ok_or_else(form)?;
        let peer = node.peer.value().ok_or_else(form)?.to_base58();
        let peer: PeerId = peer.parse().map_err(|_| MultiaddressError::Peer(peer))?;
        let brain = Part::Peer(Member { peer: Wild::Is(peer), name: "brain" });
        Ok(Self::from_parts([Part::Hop(Hop::Tcp(node.at)), brain])?)
    }
}

fn no_channel(hop: Hop<'_>) -> MultiaddressError {
    match hop {
        Hop::Tcp(_) => MultiaddressError::Form,
        Hop::Udp(_) => MultiaddressError::Channel("channels over plain UDP"),
        Hop::Irc { .. } => MultiaddressError::Channel("channels over IRC"),
        Hop::Pubsub { .. } => MultiaddressError::Channel("topics in its addresses"),
    }
}

/// Converts a peer ID to the type of libp2p.
fn libp2p_peer(peer: Wild<PeerId>) -> Result<Wild<multiaddr::PeerId>> {
    let peer = peer.value().ok_or(MultiaddressError::Wildcard)?.to_string();
    peer.parse().map(Wild::Is).map_err(|_| MultiaddressError::Peer(peer))
}

fn multiaddr(at: Socket<'_>, transport: Transport, peer: Wild<multiaddr::PeerId>) -> Result<Multiaddr> {
    let (Some(host), Some(port), Some(peer)) = (protocol(at.host), at.port.value(), peer.value()) else {
        return Err(MultiaddressError::Wildcard);
    };
    let multiaddr = Multiaddr::from(host);
    let multiaddr = match transport {
        Transport::Tcp => multiaddr.with(Protocol::Tcp(port)),
        Transport::Quic => multiaddr.with(Protocol::Udp(port)).with(Protocol::QuicV1),
    };
    Ok(multiaddr.with(Protocol::P2p(peer)))
}

fn protocol(host: Host<'_>) -> Option<Protocol<'_>> {
    Some(match host {
        Host::Ip4(ip) => Protocol::Ip4(ip.value()?),
        Host::Ip6(ip) => Protocol::Ip6(ip.value()?),
        Host::Name { family: Family::Any, name } => Protocol::Dns(name.value()?.into()),
        Host::Name { family: Family::Ip4, name } => Protocol::Dns4(name.value()?.into()),
        Host::Name { family: Family::Ip6, name } => Protocol::Dns6(name.value()?.into()),
    })
}

/// Returns a multiaddress as a node, whose names are borrowed from the bytes of the multiaddress.
fn node(at: &Multiaddr) -> Option<Node<'_>> {
    let mut protocols = at.iter();
    let host = host(protocols.next()?)?;
    let (port, transport) = match protocols.next()? {
        Protocol::Tcp(port) => (port, Transport::Tcp),
        Protocol::Udp(port) if protocols.next()? == Protocol::QuicV1 => (port, Transport::Quic),
        _ => return None,
    };
    match (protocols.next()?, protocols.next()) {
        (Protocol::P2p(peer), None) => {
            Some(Node { at: Socket { host, port: Wild::Is(port) }, transport, peer: Wild::Is(peer) })
        }
        _ => None,
    }
}

fn host(protocol: Protocol<'_>) -> Option<Host<'_>> {
    let named = |family, name| match name {
        std::borrow::Cow::Borrowed(name) => Some(Host::Name { family, name: Wild::Is(name) }),
        // Never happens, because a multiaddress returns its names as borrowed texts.
        std::borrow::Cow::Owned(_) => None,
    };
    match protocol {
        Protocol::Ip4(ip) => Some(Host::Ip4(Wild::Is(ip))),
        Protocol::Ip6(ip) => Some(Host::Ip6(Wild::Is(ip))),
        Protocol::Dns(name) => named(Family::Any, name),
        Protocol::Dns4(name) => named(Family::Ip4, name),
        Protocol::Dns6(name) => named(Family::Ip6, name),
        _ => None,
    }
}
