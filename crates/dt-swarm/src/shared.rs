//! What the parts of the daemon share.

use crate::config::Config;
use crate::plan::Plan;
use channels::{Heard, InterfaceFilter};
use dcache::{Keypair, SwarmFile};
use ipfs::node::Node;
use seal::SwarmKey;
use service::LocalFacts;
use std::sync::Arc;
use store::Store;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What the parts of the daemon share: the configuration, the disk, and values that one part keeps current for others. A
/// clone refers to the same daemon.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    /// Network interfaces that are used.
    pub(crate) choice: InterfaceFilter,
    /// Which peers are heard on which interface.
    pub(crate) heard: Heard,
    pub(crate) keypair: Arc<Keypair>,
    pub(crate) store: Arc<Store>,
    /// Seed of all chance in this process.
    pub(crate) seed: u64,
    /// The swarm that this node belongs to; `None` for the open one.
    pub(crate) membership: watch::Sender<Option<SwarmFile>>,
    pub(crate) facts: watch::Sender<LocalFacts>,
    /// Whether TCP links are taken at this node's port. `None` until that was tried.
    pub(crate) is_line_port_open: watch::Sender<Option<bool>>,
    /// Peers to reach beyond the local networks.
    pub(crate) plan: watch::Sender<Plan>,
    /// The IPFS node, while there is one.
    pub(crate) node: watch::Sender<Option<Node>>,
    pub(crate) stop: CancellationToken,
}

/// Returns the key of a swarm; `None` in a swarm that everybody can read.
pub(crate) fn key_of(membership: &watch::Receiver<Option<SwarmFile>>) -> Option<SwarmKey> {
    membership.borrow().as_ref().and_then(|file| file.key().cloned())
}
