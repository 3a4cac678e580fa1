//! The state that the parts of the daemon share.

use crate::config::Config;
use crate::plan::Plan;
use crate::relay_users::Users;
use channels::{Heard, InterfaceFilter};
use dcache::{Keypair, PeerId, SwarmFile};
use ipfs::node::Node;
use seal::SwarmKey;
use service::LocalFacts;
use std::net::Ipv4Addr;
use std::sync::Arc;
use store::Store;
use telemetry::FaultReport;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The state that the parts of the daemon share: the configuration, the record store, and values that one part updates
/// for the others. Clones refer to the same daemon.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    /// Filter for the network interfaces to use.
    pub(crate) choice: InterfaceFilter,
    /// The peers that were heard on each interface.
    pub(crate) heard: Heard,
    pub(crate) keypair: Arc<Keypair>,
    pub(crate) store: Arc<Store>,
    /// Seed for all random choices of this process.
    pub(crate) seed: u64,
    /// The file of the swarm to which this node belongs; `None` for the open swarm.
    pub(crate) membership: watch::Sender<Option<SwarmFile>>,
    pub(crate) facts: watch::Sender<LocalFacts>,
    /// Whether this node listens for TCP links at its port; `None` before the first attempt.
    pub(crate) is_line_port_open: watch::Sender<Option<bool>>,
    /// Peers outside the local networks to which the daemon stays connected.
    pub(crate) plan: watch::Sender<Plan>,
    /// The peers that may use this node as a relay.
    pub(crate) relay_users: watch::Sender<Users>,
    /// Hosts on the own networks at which a service found robots.
    pub(crate) nearby: watch::Sender<Vec<Ipv4Addr>>,
    /// The IPFS node, while it is running.
    pub(crate) node: watch::Sender<Option<Node>>,
    /// The fault that this identity was used on another machine before, until the owner decides.
    pub(crate) machine_fault: watch::Sender<Option<FaultReport>>,
    /// The peer ID of the new key, once the identity was renewed. The daemon then starts again.
    pub(crate) renewed: watch::Sender<Option<PeerId>>,
    pub(crate) stop: CancellationToken,
}

/// Returns the key of the swarm; `None` in a swarm without a key.
pub(crate) fn key_of(membership: &watch::Receiver<Option<SwarmFile>>) -> Option<SwarmKey> {
    membership.borrow().as_ref().and_then(|file| file.key().cloned())
}
