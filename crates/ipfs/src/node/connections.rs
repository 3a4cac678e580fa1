//! The open connections with each peer, and the peers that are kept away.
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

/// How long a peer that misbehaved is kept away.
const LEFT_ASIDE: Duration = Duration::from_secs(600);
/// The most peers that are remembered for it.
const MAX_LEFT_ASIDE: usize = 1024;
/// Whoever dials at several addresses at once has done with it by then: he lets go of all others once one answers.
const DIAL: Duration = Duration::from_secs(1);

/// One connection, and the address that was dialled for it.
#[derive(Debug)]
struct OpenConnection {
    id: ConnectionId,
    dialled: Option<Multiaddr>,
    since: Instant,
}

/// The connections of all peers.
#[derive(Debug, Default)]
pub(super) struct OpenConnections {
    open: BTreeMap<PeerId, Vec<OpenConnection>>,
    /// Those whose next connection replaces the ones that there are.
    renewed: BTreeMap<PeerId, Instant>,
    aside: BTreeMap<PeerId, Instant>,
}

impl OpenConnections {
    /// Notes a new connection; gives those that it replaces.
    pub(super) fn established(
        &mut self,
        now: Instant,
        peer: PeerId,
        connection: ConnectionId,
        endpoint: &ConnectedPoint,
    ) -> Vec<ConnectionId> {
        let dialled = endpoint.is_dialer().then(|| endpoint.get_remote_address().clone());
        let of_peer = self.open.entry(peer).or_default();
        let is_renewed = dialled.is_some() && self.renewed.remove(&peer).is_some();
        // Nobody dials whom he is connected with: he has begun anew, and does not know his old connection any more.
        let has_begun_anew = |open: &OpenConnection| {
            dialled.is_none() && open.dialled.is_none() && now.saturating_duration_since(open.since) > DIAL
        };
        let is_old = |open: &&OpenConnection| is_renewed || has_begun_anew(open);
        let old = of_peer.iter().filter(is_old).map(|open| open.id).collect();
        of_peer.push(OpenConnection { id: connection, dialled, since: now });
        old
    }

    /// Forgets a connection.
    pub(super) fn closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        let Some(of_peer) = self.open.get_mut(peer) else { return };
        of_peer.retain(|open| open.id != connection);
        if of_peer.is_empty() {
            self.open.remove(peer);
        }
    }

    /// Where to dial a peer anew; nothing when it can only come by itself.
    pub(super) fn renew(&mut self, peer: PeerId) -> Vec<Multiaddr> {
        let of_peer = self.open.get(&peer).into_iter().flatten();
        let addresses: Vec<Multiaddr> = of_peer.filter_map(|open| open.dialled.clone()).collect();
        if !addresses.is_empty() {
            self.renewed.insert(peer, Instant::now());
        }
        addresses
    }

    /// Keeps a peer away for a while.
    pub(super) fn leave_aside(&mut self, peer: PeerId) {
        if self.aside.len() < MAX_LEFT_ASIDE {
            self.aside.insert(peer, Instant::now());
        }
    }

    /// Whether a peer is kept away.
    pub(super) fn is_left_aside(&self, peer: &PeerId) -> bool {
        self.aside.get(peer).is_some_and(|since| since.elapsed() < LEFT_ASIDE)
    }

    /// Forgets what is over.
    pub(super) fn tidy(&mut self) {
        self.aside.retain(|_, since| since.elapsed() < LEFT_ASIDE);
        self.renewed.retain(|_, since| since.elapsed() < LEFT_ASIDE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbound() -> ConnectedPoint {
        let local_addr: Multiaddr = "/ip4/10.0.0.1/udp/6002/quic-v1".parse().unwrap();
        ConnectedPoint::Listener { send_back_addr: local_addr.clone(), local_addr }
    }

    #[test]
    fn whoever_dials_again_after_a_restart_gets_his_answers_over_the_new_connection() {
        let (mut connections, peer, begin) = (OpenConnections::default(), PeerId::random(), Instant::now());
        let mut established = |number, after| {
            let id = ConnectionId::new_unchecked(number);
            connections.established(begin + Duration::from_millis(after), peer, id, &inbound())
        };
        assert!(established(1, 0).is_empty());
        assert!(established(2, 300).is_empty(), "two addresses that were dialled at once");
        let old = [1, 2].map(ConnectionId::new_unchecked);
        assert_eq!(
            established(3, 1500),
            old,
            "killed and started again: nobody is at the other end of these"
        );
    }
}
