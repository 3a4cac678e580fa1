//! What the daemon knows about this node.

use std::net::SocketAddr;

/// Facts about this node, kept current by the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalFacts {
    /// Name of the host for people.
    pub hostname: String,
    /// Version of the daemon.
    pub version: String,
    /// Addresses at which the node accepts line protocol connections over TCP.
    pub lines: Vec<SocketAddr>,
    /// Addresses at which the node accepts IPFS connections, as multiaddresses with its peer ID. Absent until the node
    /// listens; what was published before a restart holds until then.
    pub ipfs: Option<Vec<String>>,
}
