//! What a node is told, and how its calls fail.
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use libp2p::{Multiaddr, PeerId, identity::Keypair};

use super::limits::Rates;
use crate::store::{StoreConfig, StoreError};
use crate::unixfs::WalkError;

/// The secret of a private network. It is never shown.
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

/// Finds the interfaces that lead to an IPv6 address which holds on one wire only. By default it finds none.
#[derive(Clone, Default)]
pub struct Zones(Option<Arc<dyn Fn(Ipv6Addr) -> Vec<u32> + Send + Sync>>);

impl Zones {
    /// Asks `find` for the numbers of the interfaces.
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

/// What a node needs to know.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Who the node is.
    pub keypair: Keypair,
    /// Where it listens: `/ip4/.../tcp/...` and `/ip4/.../udp/.../quic-v1`, the same for `ip6`.
    pub listen: Vec<Multiaddr>,
    /// Its block store.
    pub store: StoreConfig,
    /// With it, only nodes that have it too are spoken to, and only over TCP: addresses for QUIC are left out.
    pub network_key: Option<NetworkKey>,
    /// The pubsub topics that [`Node::subscribe`](super::Node::subscribe) may be asked for; what is said on others is
    /// not taken.
    pub topics: Vec<String>,
    /// How long a connection that nobody uses stays open. Those with peers that share a topic stay open as long as
    /// there are places left.
    pub idle_timeout: Duration,
    /// The most connections at one time.
    pub max_connections: u32,
    /// The most connections with one peer at one time.
    pub max_connections_per_peer: u32,
    /// How fast bytes may come and go.
    pub rates: Rates,
    /// Whether loopback addresses are dialled: in tests on one host.
    pub allow_loopback: bool,
    /// The wires of addresses that hold on one wire only.
    pub zones: Zones,
    /// What all random choices of Bitswap follow from.
    pub seed: u64,
    /// Bounds and times of Bitswap.
    pub bitswap: bitswap::engine::Config,
}

impl NodeConfig {
    /// Values that suit a robot: 10 minutes idle, 128 connections, 4 for each peer.
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
            rates: Rates::default(),
            allow_loopback: false,
            zones: Zones::default(),
            seed: 0,
            bitswap: bitswap::engine::Config::default(),
        }
    }
}

/// Why a node did not start.
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

/// An address on which the node does not listen though it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenFailure {
    /// The address as it was configured, or one of those that it stood for.
    pub address: Multiaddr,
    /// Why: mostly that the port is taken.
    pub reason: String,
}

impl ListenFailure {
    /// Returns whether another program holds the port. A host without IPv6, for example, listens nowhere there either, and that
    /// is no fault.
    pub fn is_port_taken(&self) -> bool {
        // The transports keep no more of the system's error than its text.
        self.reason.contains("in use")
    }
}

/// Why a peer was not reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// None of its addresses may be dialled.
    #[error("none of the addresses of {0} can be dialled")]
    NoUsableAddress(PeerId),
    /// The dial failed at all addresses.
    #[error("{0} was not reached: {1}")]
    Failed(PeerId, String),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

/// Why a DAG was not pinned.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// It is not whole.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A worker thread panicked.
    #[error("a worker of the node died")]
    Worker,
}
