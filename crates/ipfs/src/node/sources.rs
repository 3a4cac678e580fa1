//! Limits the number of connections that one source address may open, so that no peer can use up all slots.
//!
//! A host can use any number of IPv6 addresses within its /64 network. So all addresses of one such network share one
//! limit, unless the network is local and shared by a whole class.
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::task::{Context, Poll};

use libp2p::core::{ConnectedPoint, Endpoint, transport::PortUse};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, ListenFailure};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::watch;

use super::addresses::host_of;
use super::circuits::is_relayed;

/// Maximum share, in percent, of all connections that one source may open. Two sources together cannot use up all
/// slots, and a class behind one router still has enough.
const PERCENT: u32 = 40;
/// Maximum number of connections of one source whose handshake is in progress.
const MAX_PENDING: usize = 16;

/// Returns the source of an address, to which limits apply: the /64 network for IPv6 addresses that are not local, and
/// the address itself otherwise.
pub(super) fn source_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) if !(ip.is_unicast_link_local() || ip.is_unique_local() || ip.is_loopback()) => {
            Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into()
        }
        ip => ip,
    }
}

/// Returns the address from which an inbound connection came: that of the peer, or of the relay between.
fn place_of<'a>(local: &'a Multiaddr, remote: &'a Multiaddr) -> &'a Multiaddr {
    if is_relayed(local) { local } else { remote }
}

/// The source has opened too many connections.
#[derive(Debug, thiserror::Error)]
#[error("{0} has opened too many connections")]
struct TooMany(IpAddr);

/// The inbound connections, with their source.
#[derive(Debug, Default)]
struct Begun(BTreeMap<ConnectionId, IpAddr>);

impl Begun {
    /// Returns the source of an address if it has opened fewer than `most` connections. Returns `None` for loopback
    /// addresses and for addresses without an IP address, which have no limit.
    fn check(&self, at: &Multiaddr, most: usize) -> Result<Option<IpAddr>, TooMany> {
        let Some(source) = host_of(at).map(source_of).filter(|ip| !ip.is_loopback()) else { return Ok(None) };
        match self.0.values().filter(|other| **other == source).count() < most {
            true => Ok(Some(source)),
            false => Err(TooMany(source)),
        }
    }
}

/// Refuses connections from sources that have opened too many.
pub(super) struct Behaviour {
    most: usize,
    pending: Begun,
    established: Begun,
    /// The persistent peers, to which the limit does not apply.
    chosen: watch::Receiver<Arc<BTreeSet<PeerId>>>,
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Behaviour").field("most", &self.most).finish_non_exhaustive()
    }
}

impl Behaviour {
    pub(super) fn new(max_connections: u32, chosen: watch::Receiver<Arc<BTreeSet<PeerId>>>) -> Self {
        let most = usize::try_from(max_connections.saturating_mul(PERCENT) / 100).unwrap_or(usize::MAX);
        Self { most: most.max(1), pending: Begun::default(), established: Begun::default(), chosen }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let at = place_of(local, remote);
        let source = self.pending.check(at, MAX_PENDING).map_err(ConnectionDenied::new)?;
        self.pending.0.extend(source.map(|source| (id, source)));
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending.0.remove(&id);
        if !self.chosen.borrow().contains(&peer) {
            let at = place_of(local, remote);
            self.established.check(at, self.most).map_err(ConnectionDenied::new)?;
        }
        Ok(dummy::ConnectionHandler)
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                connection_id,
                endpoint: ConnectedPoint::Listener { local_addr, send_back_addr },
                ..
            }) => {
                let at = place_of(local_addr, send_back_addr);
                let source = self.established.check(at, usize::MAX).ok().flatten();
                self.established.0.extend(source.map(|source| (connection_id, source)));
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.established.0.remove(&connection_id);
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.pending.0.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begins(behaviour: &mut Behaviour, number: usize, from: &str) -> bool {
        let remote: Multiaddr = format!("{from}/tcp/40000").parse().unwrap();
        begins_at(behaviour, number, &"/ip4/10.0.0.1/tcp/6002".parse().unwrap(), remote)
    }

    fn begins_at(behaviour: &mut Behaviour, number: usize, local: &Multiaddr, remote: Multiaddr) -> bool {
        let (id, peer) = (ConnectionId::new_unchecked(number), PeerId::random());
        if behaviour.handle_pending_inbound_connection(id, local, &remote).is_err()
            || behaviour.handle_established_inbound_connection(id, peer, local, &remote).is_err()
        {
            return false;
        }
        let endpoint = ConnectedPoint::Listener { local_addr: local.clone(), send_back_addr: remote };
        behaviour.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: id,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: 0,
        }));
        true
    }

    fn guard() -> Behaviour {
        Behaviour::new(128, watch::channel(Arc::default()).1)
    }

    #[test]
    fn one_source_leaves_slots_for_others() {
        let sources: [fn(usize) -> String; 2] =
            [|_| "/ip4/203.0.113.7".to_owned(), |number| format!("/ip6/2001:db8::{number:x}")];
        for source in sources {
            let mut guard = guard();
            let begun = (0..500).filter(|number| begins(&mut guard, *number, &source(*number))).count();
            assert_eq!(begun, 51);
            assert!(begins(&mut guard, 1000, "/ip4/203.0.113.8"));
            assert!(begins(&mut guard, 1001, "/ip6/2001:db8:0:1::1"));
        }
    }

    #[test]
    fn peers_behind_one_relay_share_one_limit() {
        let mut guard = guard();
        let local = format!("/ip4/203.0.113.7/tcp/6002/p2p/{}/p2p-circuit", PeerId::random());
        let local: Multiaddr = local.parse().unwrap();
        let begun = (0..500).filter(|number| {
            let remote = format!("/p2p/{}", PeerId::random()).parse().unwrap();
            begins_at(&mut guard, *number, &local, remote)
        });
        assert_eq!(begun.count(), 51);
    }

    #[test]
    fn a_class_on_one_local_network_can_connect() {
        for network in ["/ip6/fe80::", "/ip6/fd00::", "/ip4/10.77.0."] {
            let mut guard = guard();
            assert!((1..=100).all(|number| begins(&mut guard, number, &format!("{network}{number}"))));
        }
    }

    #[test]
    fn each_source_has_a_limit_of_unfinished_handshakes() {
        let (mut guard, local) = (guard(), "/ip4/10.0.0.1/tcp/6002".parse().unwrap());
        let mut pend = |number, from: &str| {
            let id = ConnectionId::new_unchecked(number);
            guard.handle_pending_inbound_connection(id, &local, &from.parse().unwrap()).is_ok()
        };
        let begun = (0..100).filter(|number| pend(*number, "/ip4/203.0.113.7/tcp/1")).count();
        assert_eq!(begun, MAX_PENDING);
        assert!(pend(200, "/ip4/203.0.113.8/tcp/1"));
    }
}
