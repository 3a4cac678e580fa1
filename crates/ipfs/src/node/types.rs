//! Configuration of a node, and the errors of its calls.
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId, identity::Keypair};

use super::limits::Rates;
use super::relay::server::Admission;
use crate::store::{StoreConfig, StoreError};
use crate::unixfs::WalkError;

/// Secret key of a private network. Its debug output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct NetworkKey(pub(super) [u8; 32]);

impl From<[u8; 32]> for NetworkKey {
    fn from(key: [u8; 32]) -> Self {
        Self(key)
    }
}

impl std::fmt::Debug for NetworkKey {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("NetworkKey")
    }
}

/// Finds the interfaces that lead to an IPv6 link-local address. The default finds none.
#[derive(Clone, Default)]
pub struct Zones(Option<Arc<dyn Fn(Ipv6Addr) -> Vec<u32> + Send + Sync>>);

impl Zones {
    /// Uses `find` to look up the numbers of the interfaces.
    pub fn new(find: impl Fn(Ipv6Addr) -> Vec<u32> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(find)))
    }

    pub(super) fn of(&self, ip: Ipv6Addr) -> Vec<u32> {
        self.0.as_ref().map_or_else(Vec::new, |find| find(ip))
    }
}

impl std::fmt::Debug for Zones {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Zones")
    }
}

/// Configuration of a node.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Key pair that gives the node its identity.
    pub keypair: Keypair,
    /// Addresses to listen on: `/ip4/.../tcp/...` and `/ip4/.../udp/.../quic-v1`, and the same with `ip6`.
    pub listen: Vec<Multiaddr>,
    /// Configuration of its block store.
    pub store: StoreConfig,
    /// Key of the private network. With a key, the node talks only to nodes with the same key, and only over TCP: QUIC
    /// addresses are left out.
    pub network_key: Option<NetworkKey>,
    /// Pubsub topics that may be passed to [`Node::subscribe`](super::Node::subscribe). Messages on other topics are
    /// ignored.
    pub topics: Vec<String>,
    /// Time after which an unused connection is closed. Connections with peers that share a topic stay open while there
    /// are free slots.
    pub idle_timeout: Duration,
    /// Maximum number of open connections.
    pub max_connections: u32,
    /// Maximum number of open connections with one peer.
    pub max_connections_per_peer: u32,
    /// The peers for which this node is a relay; `None` if it is a relay for nobody. A relay must be reachable at the
    /// addresses on which it listens.
    pub relay: Option<Admission>,
    /// Rate limits for sent and received bytes.
    pub rates: Rates,
    /// Whether loopback addresses are dialled; used in tests on one host.
    pub allow_loopback: bool,
    /// Lookup of the interfaces for link-local addresses.
    pub zones: Zones,
    /// Seed of the random jitter between dials; it is mixed with the peer ID.
    pub seed: u64,
    /// Limits and timeouts of Bitswap.
    pub bitswap: bitswap::engine::Config,
}

impl NodeConfig {
    /// Creates a configuration that suits a robot: 10 minutes idle timeout, 128 connections, 4 for each peer.
    pub fn new(keypair: Keypair, store: StoreConfig) -> Self {
        Self {
            keypair,
            listen: Vec::new(),
            store,
            network_key: None,
            topics: Vec::new(),
            idle_timeout: Duration::from_secs(600),
            max_connections: 128,
            max_connections_per_peer: 4,
            relay: None,
            rates: Rates::default(),
            allow_loopback: false,
            zones: Zones::default(),
            seed: 0,
            bitswap: bitswap::engine::Config::default(),
        }
    }
}

/// Error that occurs when a node starts.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The store could not be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The encryption of the links could not be set up.
    #[error("the encryption of the links could not be set up: {0}")]
    Encryption(#[from] libp2p::noise::Error),
    /// Gossipsub could not be set up.
    #[error("pubsub could not be set up: {0}")]
    Pubsub(String),
    /// A worker thread panicked.
    #[error("a worker of the node died")]
    Worker,
}

/// An address on which the node should listen but cannot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenFailure {
    /// Address as it was configured, or one of the addresses of its listener if the listener was closed later.
    pub address: Multiaddr,
    /// Reason of the failure; usually the port is taken.
    pub reason: String,
}

impl ListenFailure {
    /// Returns whether another program holds the port. Other failures may be harmless; for example, a host without IPv6
    /// cannot listen on IPv6 addresses.
    pub fn is_port_taken(&self) -> bool {
        // The transports keep only the text of the system's error.
        self.reason.contains("in use")
    }
}

/// Error that occurs when a peer is dialled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// None of the addresses of the peer may be dialled.
    #[error("none of the addresses of {0} can be dialled")]
    NoUsableAddress(PeerId),
    /// The dial failed at all addresses, for this reason.
    #[error("{0} was not reached: {1}")]
    Failed(PeerId, String),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// Error that occurs when a DAG is pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The DAG is incomplete or cannot be read.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A worker thread panicked.
    #[error("a worker of the node died")]
    Worker,
}
