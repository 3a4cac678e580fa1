//! The open connections with each peer, and the peers that are kept away.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use super::addresses::{MAX_ADDRESSES, host_of};
use super::sources::source_of;

/// How long a peer that misbehaved is kept away.
const LEFT_ASIDE: Duration = Duration::from_secs(600);
/// The most peers that are remembered for it.
const MAX_LEFT_ASIDE: usize = 1024;
/// Whoever dials at several addresses at once has done with it by then: he lets go of all others once one answers.
const DIAL: Duration = Duration::from_secs(1);
/// When both sides dial at the same time, each sees both connections come within this time, in the same order.
const CROSSED: Duration = Duration::from_secs(3);

/// One connection.
#[derive(Debug)]
struct OpenConnection {
    id: ConnectionId,
    /// The address that was dialled for it.
    dialled: Option<Multiaddr>,
    /// Where the peer is.
    remote: Option<IpAddr>,
    /// This host's address, of a connection that the peer began.
    local: Option<IpAddr>,
    since: Instant,
}

/// The connections with one peer.
#[derive(Debug, Default)]
struct OfPeer {
    open: Vec<OpenConnection>,
    /// Where the peer is reached, as it was heard last.
    known: Vec<Multiaddr>,
}

impl OpenConnection {
    fn new(id: ConnectionId, endpoint: &ConnectedPoint, since: Instant) -> Self {
        let remote = endpoint.get_remote_address();
        let local = match endpoint {
            ConnectedPoint::Dialer { .. } => None,
            ConnectedPoint::Listener { local_addr, .. } => host_of(local_addr),
        };
        let dialled = endpoint.is_dialer().then(|| remote.clone());
        Self { id, dialled, remote: host_of(remote), local, since }
    }
}

/// The connections of all peers.
#[derive(Debug, Default)]
pub(super) struct OpenConnections {
    open: BTreeMap<PeerId, OfPeer>,
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
        let new = OpenConnection::new(connection, endpoint, now);
        let of_peer = &mut self.open.entry(peer).or_default().open;
        let is_renewed = new.dialled.is_some() && self.renewed.remove(&peer).is_some();
        // Nobody dials whom he is connected with: he has begun anew, or his old connection carries nothing.
        let has_begun_anew = |open: &OpenConnection| {
            let least = if open.dialled.is_none() { DIAL } else { CROSSED };
            new.dialled.is_none() && now.saturating_duration_since(open.since) > least
        };
        let is_old = |open: &&OpenConnection| is_renewed || has_begun_anew(open);
        let old = of_peer.iter().filter(is_old).map(|open| open.id).collect();
        of_peer.push(new);
        old
    }

    /// Forgets a connection.
    pub(super) fn closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        let Some(of_peer) = self.open.get_mut(peer) else { return };
        of_peer.open.retain(|open| open.id != connection);
        if of_peer.open.is_empty() {
            self.open.remove(peer);
        }
    }

    /// Notes where a connected peer is reached. Returns whether that is news and no connection leads there.
    pub(super) fn learn(&mut self, peer: &PeerId, addresses: &[Multiaddr]) -> bool {
        let Some(of_peer) = self.open.get_mut(peer).filter(|_| !addresses.is_empty()) else { return false };
        let mut sorted = addresses.to_vec();
        sorted.sort();
        if of_peer.known == sorted {
            return false;
        }
        of_peer.known = sorted;
        let leads_there = |open: &OpenConnection| {
            open.remote.is_some() && addresses.iter().any(|address| host_of(address) == open.remote)
        };
        !of_peer.open.iter().any(leads_there)
    }

    /// Where to dial a peer anew: where it is reached by now, and where it was. Nothing when it can only come by itself.
    pub(super) fn renew(&mut self, peer: PeerId) -> Vec<Multiaddr> {
        let Some(of_peer) = self.open.get(&peer) else { return Vec::new() };
        let mut addresses = of_peer.known.clone();
        for dialled in of_peer.open.iter().filter_map(|open| open.dialled.as_ref()) {
            if !addresses.contains(dialled) {
                addresses.push(dialled.clone());
            }
        }
        addresses.truncate(MAX_ADDRESSES);
        if !addresses.is_empty() {
            self.renewed.insert(peer, Instant::now());
        }
        addresses
    }

    /// The connections with a peer.
    pub(super) fn with(&self, peer: &PeerId) -> Vec<ConnectionId> {
        self.open.get(peer).into_iter().flat_map(|of_peer| &of_peer.open).map(|open| open.id).collect()
    }

    /// Where a connected peer is, as far as limits go.
    pub(super) fn source(&self, peer: &PeerId) -> Option<IpAddr> {
        self.open.get(peer)?.open.iter().find_map(|open| open.remote).map(source_of)
    }

    /// The connections that peers began with this address of this host.
    pub(super) fn to(&self, own: IpAddr) -> Vec<ConnectionId> {
        let all = self.open.values().flat_map(|of_peer| &of_peer.open);
        all.filter(|open| open.local == Some(own)).map(|open| open.id).collect()
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

    fn outbound(address: &str) -> ConnectedPoint {
        ConnectedPoint::Dialer {
            address: address.parse().unwrap(),
            role_override: libp2p::core::Endpoint::Dialer,
            port_use: libp2p::core::transport::PortUse::Reuse,
        }
    }

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    #[test]
    fn a_peer_that_has_moved_is_dialled_once_where_it_is_now() {
        let (mut connections, peer, now) = (OpenConnections::default(), PeerId::random(), Instant::now());
        let [before, after] =
            [1, 77].map(|last| format!("/ip4/10.99.0.{last}/tcp/6002").parse::<Multiaddr>().unwrap());
        assert!(!connections.learn(&peer, std::slice::from_ref(&after)), "it is not connected");
        connections.established(now, peer, id(1), &outbound("/ip4/10.99.0.1/tcp/6002"));
        assert!(!connections.learn(&peer, std::slice::from_ref(&before)));
        assert!(connections.learn(&peer, std::slice::from_ref(&after)));
        assert!(!connections.learn(&peer, std::slice::from_ref(&after)), "that is no news any more");
        assert_eq!(connections.renew(peer), [after.clone(), before]);
        let new = outbound("/ip4/10.99.0.77/tcp/6002");
        assert_eq!(connections.established(now, peer, id(2), &new), [id(1)]);
        connections.closed(&peer, id(1));
        assert_eq!(connections.with(&peer), [id(2)]);
        assert_eq!(connections.renew(peer), [after]);
    }

    #[test]
    fn who_came_by_an_address_that_is_gone_is_found() {
        let (mut connections, now) = (OpenConnections::default(), Instant::now());
        connections.established(now, PeerId::random(), id(1), &inbound());
        connections.established(now, PeerId::random(), id(2), &outbound("/ip4/10.0.0.1/tcp/1"));
        assert_eq!(connections.to("10.0.0.1".parse().unwrap()), [id(1)]);
        assert_eq!(connections.to("10.0.0.2".parse().unwrap()), []);
    }

    #[test]
    fn a_peer_that_dials_again_gets_answers_over_the_new_connection_though_the_old_one_was_dialled_from_here()
    {
        let (mut connections, peer, begin) = (OpenConnections::default(), PeerId::random(), Instant::now());
        let dialled = outbound("/ip4/10.99.0.1/tcp/6002");
        connections.established(begin, peer, id(1), &dialled);
        let soon = begin + Duration::from_secs(2);
        assert_eq!(connections.established(soon, peer, id(2), &inbound()), [], "both dialled at once");
        let later = begin + Duration::from_secs(10);
        assert_eq!(connections.established(later, peer, id(3), &inbound()), [id(1), id(2)]);
    }

    #[test]
    fn whoever_dials_again_after_a_restart_gets_his_answers_over_the_new_connection() {
        let (mut connections, peer, begin) = (OpenConnections::default(), PeerId::random(), Instant::now());
        let mut established = |number, after| {
            connections.established(begin + Duration::from_millis(after), peer, id(number), &inbound())
        };
        assert!(established(1, 0).is_empty());
        assert!(established(2, 300).is_empty(), "two addresses that were dialled at once");
        assert_eq!(
            established(3, 1500),
            [id(1), id(2)],
            "killed and started again: nobody is at the other end of these"
        );
    }
}
