//! The paths to one robot: connects with it if necessary, and says how it is reached.

use crate::protocol::RobotPath;
use dcache::PeerId;
use ipfs::node::{Node, PeerPath};
use service::{Context, Failure, parse_provider, published_addresses};
use std::time::Duration;
use tokio::time::timeout;

/// Maximum time for connecting with a robot.
const CONNECT: Duration = Duration::from_secs(4);

/// Returns the open connections with a robot, and why there is none. Connects with it first if it is not connected.
///
/// # Errors
/// When the daemon is stopping, or its IPFS node is not running.
pub(crate) async fn paths(
    context: &Context,
    peer: PeerId,
) -> Result<(Vec<RobotPath>, Option<String>), Failure> {
    let node = context.current_node()?;
    let published = context.swarm.read(move |set, now| published_addresses(set, peer, now)).await?;
    let Some((id, addresses)) = parse_provider(peer, &published) else {
        return Ok((Vec::new(), Some("it states no address for IPFS connections".to_owned())));
    };
    let mut reason = None;
    if !node.connected_peers().borrow().contains(&id) {
        reason = match timeout(CONNECT, node.connect(id, addresses)).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("it was not reached within {} s", CONNECT.as_secs())),
        };
    }
    let paths = open(&node, id);
    let reason = reason.filter(|_| paths.is_empty());
    Ok((paths, reason))
}

fn open(node: &Node, peer: ipfs::PeerId) -> Vec<RobotPath> {
    let paths = node.paths().borrow().get(&peer).cloned().unwrap_or_default();
    paths.iter().map(described).collect()
}

fn described(path: &PeerPath) -> RobotPath {
    RobotPath {
        is_relayed: path.is_relayed(),
        relay: path.relay().and_then(|relay| relay.to_string().parse().ok()),
        transport: path.transport.to_string(),
        address: path.address.to_string(),
    }
}
