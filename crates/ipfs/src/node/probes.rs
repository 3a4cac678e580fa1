//! Probes whether connections still work. When a robot moves to another address, its old connections are dead, but the
//! operating system reports this only after a quarter of an hour.
use std::collections::BTreeMap;
use std::time::Duration;

use libp2p::PeerId;
use libp2p::swarm::ConnectionId;
use libp2p_stream::{Control, OpenStreamError};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::streams::PROTOCOL;

/// Time within which a peer must answer that a stream is open. Longer than a few retransmissions on a bad radio link.
const ANSWER_TIME: Duration = Duration::from_secs(5);
/// Number of bytes that a dead connection may accept from this node, because they fit into buffers on the way.
const BUFFERED: u64 = 128 * 1024;

/// Bytes sent to a peer and received from it, up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) up: u64,
    pub(super) down: u64,
}

/// The result of a probe.
#[derive(Debug)]
pub(super) struct Probed {
    pub(super) peer: PeerId,
    /// The connections that were open when the probe began.
    pub(super) connections: Vec<ConnectionId>,
    before: Passed,
    is_answered: bool,
}

impl Probed {
    /// Returns whether the connections are dead: no answer and no other bytes arrived, and no more was sent than fits
    /// into buffers. `after` is the traffic at the end of the probe.
    pub(super) fn is_dead(&self, after: Passed) -> bool {
        let has_taken = after.up.saturating_sub(self.before.up) > BUFFERED;
        !self.is_answered && !has_taken && after.down == self.before.down
    }
}

/// The running probes, at most one for each peer.
#[derive(Debug, Default)]
pub(super) struct Probes {
    running: JoinSet<(PeerId, bool)>,
    begun: BTreeMap<PeerId, (Vec<ConnectionId>, Passed)>,
}

impl Probes {
    /// Starts a probe of a peer, unless one is running.
    pub(super) fn begin(
        &mut self,
        control: Control,
        peer: PeerId,
        connections: Vec<ConnectionId>,
        before: Passed,
    ) {
        if connections.is_empty() || self.begun.contains_key(&peer) {
            return;
        }
        self.begun.insert(peer, (connections, before));
        self.running.spawn(async move { (peer, is_answered(control, peer).await) });
    }

    /// Waits for the next probe that ends. Never returns while none is running. Cancel safe.
    pub(super) async fn next(&mut self) -> Probed {
        while let Some(ended) = self.running.join_next().await {
            let Ok((peer, is_answered)) = ended else { continue };
            if let Some((connections, before)) = self.begun.remove(&peer) {
                return Probed { peer, connections, before, is_answered };
            }
        }
        std::future::pending().await
    }
}

/// Opens a stream, which needs an answer of the peer, and closes it again.
async fn is_answered(mut control: Control, peer: PeerId) -> bool {
    match timeout(ANSWER_TIME, control.open_stream(peer, PROTOCOL)).await {
        Ok(Ok(_) | Err(OpenStreamError::UnsupportedProtocol(_))) => true,
        // The connection ended meanwhile, or the peer is silent.
        Ok(Err(_)) | Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_dead_when_it_carries_nothing() {
        let before = Passed { up: 1000, down: 1000 };
        let probed =
            |is_answered| Probed { peer: PeerId::random(), connections: vec![], before, is_answered };
        assert!(probed(false).is_dead(before));
        assert!(!probed(true).is_dead(before));
        assert!(!probed(false).is_dead(Passed { down: 1001, ..before }), "a byte was received");
        assert!(probed(false).is_dead(Passed { up: 1000 + BUFFERED, ..before }), "they may be in a buffer");
        assert!(!probed(false).is_dead(Passed { up: 1001 + BUFFERED, ..before }), "a slow link that is busy");
    }
}
