//! The open connections with each peer, and the peers that are banned for ten minutes.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId};

use super::addresses::{MAX_ADDRESSES, host_of, without_peer};
use super::circuits::other_end;
use super::paths::{Path, PathTable};
use super::sources::source_of;

/// Time for which a peer that misbehaved is banned.
const LEFT_ASIDE: Duration = Duration::from_secs(600);
/// Maximum number of banned peers that are remembered.
const MAX_LEFT_ASIDE: usize = 1024;
/// Minimum age of a connection from a peer before a new one from the same peer replaces it. A peer that dials several
/// addresses at once keeps only the first connection, and has closed the others within this time.
const DIAL: Duration = Duration::from_secs(1);
/// Minimum age of a connection that this node dialled before a new one from the same peer replaces it. When both sides
/// dial at the same time, each sees both connections arrive within this time, in the same order.
const CROSSED: Duration = Duration::from_secs(3);
/// Time for which a direct connection must exist before the relayed connections with the same peer are closed. The
/// other side may still be making it.
pub(super) const SETTLED: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct OpenConnection {
    id: ConnectionId,
    /// Address that this node dialled; `None` if the peer dialled.
    dialled: Option<Multiaddr>,
    /// IP address of the peer, or of the relay between.
    remote: Option<IpAddr>,
    path: Path,
    /// Address of this host, if the peer dialled.
    local: Option<IpAddr>,
    since: Instant,
}

#[derive(Debug, Default)]
struct OfPeer {
    open: Vec<OpenConnection>,
    /// Addresses at which the peer can be reached, as last announced.
    known: Vec<Multiaddr>,
}

impl OpenConnection {
    fn new(id: ConnectionId, endpoint: &ConnectedPoint, since: Instant) -> Self {
        let path = Path::of(endpoint);
        let local = match endpoint {
            ConnectedPoint::Listener { local_addr, .. } if !path.is_relayed() => host_of(local_addr),
            _ => None,
        };
        let dialled = endpoint.is_dialer().then(|| endpoint.get_remote_address().clone());
        Self { id, dialled, remote: other_end(endpoint), path, local, since }
    }
}

#[derive(Debug, Default)]
pub(super) struct OpenConnections {
    open: BTreeMap<PeerId, OfPeer>,
    /// Peers that this node dials again, with the time of that decision. The new connection replaces the open ones.
    renewed: BTreeMap<PeerId, Instant>,
    aside: BTreeMap<PeerId, Instant>,
}

impl OpenConnections {
    /// Records a new connection. Returns the connections that it replaces.
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
        // A connected peer dials again only if it has restarted or its old connection is dead.
        let has_begun_anew = |open: &OpenConnection| {
            let least = if open.dialled.is_none() { DIAL } else { CROSSED };
            // A relayed connection is worse than a direct one and replaces none.
            let is_no_worse = open.path.is_relayed() || !new.path.is_relayed();
            new.dialled.is_none() && is_no_worse && now.saturating_duration_since(open.since) > least
        };
        let is_old = |open: &&OpenConnection| is_renewed || has_begun_anew(open);
        let old = of_peer.iter().filter(is_old).map(|open| open.id).collect();
        of_peer.push(new);
        old
    }

    /// Removes a closed connection.
    pub(super) fn closed(&mut self, peer: &PeerId, connection: ConnectionId) {
        let Some(of_peer) = self.open.get_mut(peer) else { return };
        of_peer.open.retain(|open| open.id != connection);
        if of_peer.open.is_empty() {
            self.open.remove(peer);
        }
    }

    /// Records the addresses at which a connected peer can be reached. Returns whether they are new and no open
    /// connection leads to one of them.
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

    /// Returns the addresses at which to dial a peer again: those where it can be reached now, and those that were
    /// dialled before. Returns none when only the peer itself can connect.
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

    /// Returns the relayed connections with peers that are connected directly as well.
    pub(super) fn superseded(&self, now: Instant) -> Vec<(PeerId, ConnectionId)> {
        let is_settled = |open: &OpenConnection| {
            !open.path.is_relayed() && now.saturating_duration_since(open.since) >= SETTLED
        };
        let peers = self.open.iter().filter(|(_, of_peer)| of_peer.open.iter().any(is_settled));
        let all = peers.flat_map(|(peer, of_peer)| of_peer.open.iter().map(|open| (*peer, open)));
        all.filter(|(_, open)| open.path.is_relayed()).map(|(peer, open)| (peer, open.id)).collect()
    }

    /// Returns whether all connections with a connected peer are relayed.
    pub(super) fn is_only_relayed(&self, peer: &PeerId) -> bool {
        self.open.get(peer).is_some_and(|of_peer| of_peer.open.iter().all(|open| open.path.is_relayed()))
    }

    /// Returns whether the peer made one of the open connections.
    pub(super) fn has_called(&self, peer: &PeerId) -> bool {
        self.open.get(peer).is_some_and(|of_peer| of_peer.open.iter().any(|open| open.dialled.is_none()))
    }

    /// Returns the address at which this node dialled a peer directly, if one of its connections was made so.
    pub(super) fn dialled_directly(&self, peer: &PeerId) -> Option<Multiaddr> {
        let direct = self.open.get(peer)?.open.iter().filter(|open| !open.path.is_relayed());
        direct.filter_map(|open| open.dialled.as_ref()).map(without_peer).next()
    }

    /// Returns whether this node dialled this connection directly.
    pub(super) fn is_dialled_directly(&self, peer: &PeerId, connection: ConnectionId) -> bool {
        let open = self.open.get(peer).into_iter().flat_map(|of_peer| &of_peer.open);
        open.filter(|open| open.id == connection)
            .any(|open| open.dialled.is_some() && !open.path.is_relayed())
    }

    /// Returns the relays through which peers are connected.
    pub(super) fn relays(&self) -> BTreeSet<PeerId> {
        let all = self.open.values().flat_map(|of_peer| &of_peer.open);
        all.filter_map(|open| open.path.relay()).collect()
    }

    /// Returns the paths to all connected peers, the direct ones first.
    pub(super) fn paths(&self) -> PathTable {
        let of_peer = |of_peer: &OfPeer| {
            let mut paths: Vec<Path> = of_peer.open.iter().map(|open| open.path.clone()).collect();
            paths.sort();
            paths
        };
        self.open.iter().map(|(peer, connections)| (*peer, of_peer(connections))).collect()
    }

    /// Returns the connections with a peer.
    pub(super) fn with(&self, peer: &PeerId) -> Vec<ConnectionId> {
        self.open.get(peer).into_iter().flat_map(|of_peer| &of_peer.open).map(|open| open.id).collect()
    }

    /// Returns the source of a connected peer, to which rate and stream limits apply.
    pub(super) fn source(&self, peer: &PeerId) -> Option<IpAddr> {
        self.open.get(peer)?.open.iter().find_map(|open| open.remote).map(source_of)
    }

    /// Returns the hosts from which a peer is connected directly.
    pub(super) fn direct_hosts(&self, peer: &PeerId) -> BTreeSet<IpAddr> {
        let open = self.open.get(peer).into_iter().flat_map(|of_peer| &of_peer.open);
        open.filter(|open| !open.path.is_relayed()).filter_map(|open| open.remote).collect()
    }

    /// Returns the connections that peers opened to this address of this host.
    pub(super) fn to(&self, own: IpAddr) -> Vec<ConnectionId> {
        let all = self.open.values().flat_map(|of_peer| &of_peer.open);
        all.filter(|open| open.local == Some(own)).map(|open| open.id).collect()
    }

    /// Bans a peer for ten minutes.
    pub(super) fn leave_aside(&mut self, peer: PeerId) {
        if self.aside.len() < MAX_LEFT_ASIDE {
            self.aside.insert(peer, Instant::now());
        }
    }

    /// Returns whether a peer is banned.
    pub(super) fn is_left_aside(&self, peer: &PeerId) -> bool {
        self.aside.get(peer).is_some_and(|since| since.elapsed() < LEFT_ASIDE)
    }

    /// Removes expired entries.
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
    fn a_peer_that_has_moved_is_dialled_once_at_its_new_address() {
        let (mut connections, peer, now) = (OpenConnections::default(), PeerId::random(), Instant::now());
        let [before, after] =
            [1, 77].map(|last| format!("/ip4/10.99.0.{last}/tcp/6002").parse::<Multiaddr>().unwrap());
        assert!(!connections.learn(&peer, std::slice::from_ref(&after)), "it is not connected");
        connections.established(now, peer, id(1), &outbound("/ip4/10.99.0.1/tcp/6002"));
        assert!(!connections.learn(&peer, std::slice::from_ref(&before)));
        assert!(connections.learn(&peer, std::slice::from_ref(&after)));
        assert!(!connections.learn(&peer, std::slice::from_ref(&after)), "the address is known already");
        assert_eq!(connections.renew(peer), [after.clone(), before]);
        let new = outbound("/ip4/10.99.0.77/tcp/6002");
        assert_eq!(connections.established(now, peer, id(2), &new), [id(1)]);
        connections.closed(&peer, id(1));
        assert_eq!(connections.with(&peer), [id(2)]);
        assert_eq!(connections.renew(peer), [after]);
    }

    #[test]
    fn connections_to_an_address_that_is_gone_are_found() {
        let (mut connections, now) = (OpenConnections::default(), Instant::now());
        connections.established(now, PeerId::random(), id(1), &inbound());
        connections.established(now, PeerId::random(), id(2), &outbound("/ip4/10.0.0.1/tcp/1"));
        assert_eq!(connections.to("10.0.0.1".parse().unwrap()), [id(1)]);
        assert_eq!(connections.to("10.0.0.2".parse().unwrap()), []);
    }

    #[test]
    fn a_new_connection_of_a_peer_replaces_one_that_was_dialled_from_here() {
        let (mut connections, peer, begin) = (OpenConnections::default(), PeerId::random(), Instant::now());
        let dialled = outbound("/ip4/10.99.0.1/tcp/6002");
        connections.established(begin, peer, id(1), &dialled);
        let soon = begin + Duration::from_secs(2);
        assert_eq!(connections.established(soon, peer, id(2), &inbound()), [], "both dialled at once");
        let later = begin + Duration::from_secs(10);
        assert_eq!(connections.established(later, peer, id(3), &inbound()), [id(1), id(2)]);
    }

    #[test]
    fn a_peer_that_dials_again_after_a_restart_is_answered_over_the_new_connection() {
        let (mut connections, peer, begin) = (OpenConnections::default(), PeerId::random(), Instant::now());
        let mut established = |number, after| {
            connections.established(begin + Duration::from_millis(after), peer, id(number), &inbound())
        };
        assert!(established(1, 0).is_empty());
        assert!(established(2, 300).is_empty(), "two addresses that were dialled at once");
        assert_eq!(
            established(3, 1500),
            [id(1), id(2)],
            "the peer was killed and restarted, so the old connections are dead"
        );
    }

    fn relayed_inbound(relay: PeerId) -> ConnectedPoint {
        let local_addr = format!("/ip4/203.0.113.7/tcp/6002/p2p/{relay}/p2p-circuit").parse().unwrap();
        let send_back_addr = format!("/p2p/{}", PeerId::random()).parse().unwrap();
        ConnectedPoint::Listener { local_addr, send_back_addr }
    }

    #[test]
    fn a_relayed_connection_gives_way_to_a_direct_one_and_never_replaces_one() {
        let (mut connections, begin) = (OpenConnections::default(), Instant::now());
        let [peer, relay] = [PeerId::random(), PeerId::random()];
        let later = |seconds| begin + Duration::from_secs(seconds);
        connections.established(begin, peer, id(1), &relayed_inbound(relay));
        assert!(connections.is_only_relayed(&peer) && connections.has_called(&peer));
        assert_eq!(connections.relays(), BTreeSet::from([relay]));
        assert_eq!(connections.established(later(5), peer, id(2), &outbound("/ip4/10.99.0.1/tcp/1")), []);
        assert!(!connections.is_only_relayed(&peer));
        assert_eq!(connections.superseded(later(5)), [], "the peer may still be making the direct one");
        assert_eq!(connections.superseded(later(6)), [(peer, id(1))]);
        assert_eq!(connections.established(later(60), peer, id(3), &relayed_inbound(relay)), [id(1)]);
        assert_eq!(connections.with(&peer), [id(1), id(2), id(3)]);
        assert!(!connections.paths()[&peer][0].is_relayed(), "direct paths come first");
    }

    #[test]
    fn peers_behind_a_relay_have_its_address_as_their_source() {
        let (mut connections, peer) = (OpenConnections::default(), PeerId::random());
        connections.established(Instant::now(), peer, id(1), &relayed_inbound(PeerId::random()));
        assert_eq!(connections.source(&peer), Some("203.0.113.7".parse().unwrap()));
        assert_eq!(connections.to("203.0.113.7".parse().unwrap()), [], "this is no address of this host");
    }
}
