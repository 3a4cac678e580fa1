//! The paths to connected peers, as they are reported.
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use libp2p::core::ConnectedPoint;
use libp2p::{Multiaddr, PeerId};

use super::addresses::is_quic;
use super::circuits::{self, is_relayed};

/// The connections with each connected peer.
pub type PathTable = BTreeMap<PeerId, Vec<Path>>;

/// One connection with a peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// How the peer is reached.
    pub via: Via,
    /// The transport, to the peer or to the relay.
    pub transport: LinkTransport,
    /// The address of the other end: of the peer, or of the relay.
    pub address: Multiaddr,
}

/// How a peer is reached. A direct connection sorts first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// Without a relay.
    Direct,
    /// Through this relay; `None` if the connection does not tell its peer ID.
    Relay(Option<PeerId>),
}

/// The transport of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkTransport {
    /// The connection uses TCP.
    Tcp,
    /// The connection uses QUIC.
    Quic,
}

impl fmt::Display for LinkTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Tcp => "tcp",
            Self::Quic => "quic",
        })
    }
}

impl Path {
    pub(super) fn of(endpoint: &ConnectedPoint) -> Self {
        let address = circuits::path_of(endpoint);
        let transport = if is_quic(address) { LinkTransport::Quic } else { LinkTransport::Tcp };
        let via = match is_relayed(address) {
            true => Via::Relay(circuits::take_apart(address).map(|circuit| circuit.relay)),
            false => Via::Direct,
        };
        Self { via, transport, address: address.clone() }
    }

    /// Returns the relay, if the path leads through one that is known.
    pub fn relay(&self) -> Option<PeerId> {
        match self.via {
            Via::Direct => None,
            Via::Relay(relay) => relay,
        }
    }

    /// Returns whether the path leads through a relay.
    pub fn is_relayed(&self) -> bool {
        self.via != Via::Direct
    }
}

/// The report of all paths, which is shared with the handles of the node.
pub(super) type SharedPaths = Arc<PathTable>;
