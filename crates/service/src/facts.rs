//! Facts about this node, such as its name and its addresses.

use std::net::SocketAddr;

/// Facts about this node. The daemon keeps them up to date.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalFacts {
    /// Host name of the node, to show it to people.
    pub hostname: String,
    /// Version of the daemon.
    pub version: String,
    /// Addresses at which the node accepts line protocol connections over TCP.
    pub lines: Vec<SocketAddr>,
    /// Addresses at which the node accepts IPFS connections, as multiaddresses with its peer ID. `None` until the node
    /// listens; until then, addresses that were published before a restart stay valid.
    pub ipfs: Option<Vec<String>>,
    /// Whether the swarm has a key, which hides from other hosts what its robots say.
    pub has_key: bool,
    /// Whether the swarm has roots, so that peers can have roles.
    pub has_roots: bool,
}
