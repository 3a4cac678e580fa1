//! What the swarm reports. Each event is handled, or named with the reason why it is not.
use std::sync::Arc;
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, ping};

use super::Driver;
use super::connecting::NamedBy;
use crate::node::addresses;
use crate::node::dial_message::{dial_message, reason};
use crate::node::inbound::Inbound;
use crate::node::swarm::BehaviourEvent;
use crate::node::types::ConnectError;

/// Time for which a peer is taken for alive after something came from it.
const ALIVE: Duration = Duration::from_secs(30);

impl Driver {
    pub(super) fn swarm_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.connection_established(peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established, cause, .. } => {
                self.connections.closed(&peer_id, connection_id);
                self.limits.closed(&peer_id, connection_id);
                if num_established > 0 {
                    return self.exchange.one_closed(peer_id);
                }
                let cause = cause.map_or_else(|| "it was closed".to_owned(), |cause| reason(&cause));
                self.connection_closed(peer_id, cause);
            }
            SwarmEvent::OutgoingConnectionError { peer_id: Some(peer), connection_id, error } => {
                self.not_reached(peer, connection_id, &error);
            }
            SwarmEvent::IncomingConnectionError { send_back_addr, error, .. } => {
                tracing::debug!(address = %send_back_addr, %error, "a peer did not get in");
            }
            listener_event => self.listener_event(listener_event),
        }
    }

    fn behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Inbound(Inbound { peer, stream }) => {
                self.exchange.opened(peer, self.connections.source(&peer), stream);
            }
            BehaviourEvent::Pubsub(event) => {
                self.subscriptions.gossip_event(event, &mut self.swarm.behaviour_mut().pubsub);
            }
            BehaviourEvent::Ping(ping::Event { peer, connection, result: Err(error) }) => {
                self.ping_failed(peer, connection, &error);
            }
            BehaviourEvent::Identify(identify::Event::Error { peer_id, error, .. }) => {
                tracing::debug!(peer = %peer_id, ?error, "it does not tell who it is");
            }
            // Peers that answer are what is expected. Where a peer listens is taken from the records that it signs, and what
            // address it sees of this node is not to be believed.
            BehaviourEvent::Ping(ping::Event { result: Ok(_), .. })
            | BehaviourEvent::Identify(
                identify::Event::Received { .. }
                | identify::Event::Sent { .. }
                | identify::Event::Pushed { .. },
            ) => {}
            // Opening a stream reports to whoever opens it.
            BehaviourEvent::Outbound(()) => {}
            BehaviourEvent::Limits(never)
            | BehaviourEvent::Sources(never)
            | BehaviourEvent::KeepAlive(never) => match never {},
        }
    }

    /// Closes a connection on which nothing is answered. The ping reports that; it closes nothing itself.
    fn ping_failed(&mut self, peer: PeerId, connection: ConnectionId, error: &ping::Failure) {
        // Answers may be late on a link that is busy.
        let is_only = self.connections.with(&peer) == [connection];
        let is_busy = is_only && self.exchange.is_heard_within(&peer, ALIVE);
        if is_busy || matches!(error, ping::Failure::Unsupported) {
            return;
        }
        tracing::debug!(%peer, %error, "a connection carries nothing and is closed");
        self.swarm.close_connection(connection);
    }

    fn not_reached(&mut self, peer: PeerId, connection: ConnectionId, error: &DialError) {
        tracing::debug!(%peer, %error, "not reached");
        if let DialError::WrongPeerId { address, .. } | DialError::LocalPeerId { address } = error {
            // An address that now belongs to another robot, or that each host has itself.
            if let DialError::WrongPeerId { obtained, .. } = error {
                // It proved who it is. Its own address stays usable for it however many others name it.
                self.answered(*obtained, address);
            }
            let others = self.dials.met_another(&peer, connection, address);
            if !others.is_empty() && self.dial(peer, others, NamedBy::Others).is_ok() {
                return;
            }
        }
        let failure = ConnectError::Failed(peer, reason(error));
        let was_last = self.dials.failed(&peer, connection, &failure);
        if was_last && !self.swarm.is_connected(&peer) {
            self.persistent.failed(&peer, dial_message(error, self.rules.is_private));
        }
    }

    fn connection_established(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let address = endpoint.get_remote_address();
        self.limits.opened(peer, connection, address);
        if endpoint.is_dialer() {
            self.answered(peer, address);
        }
        let is_first = self.connections.with(&peer).is_empty();
        for old in self.connections.established(Instant::now(), peer, connection, endpoint) {
            self.swarm.close_connection(old);
        }
        if self.connections.is_left_aside(&peer) {
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        tracing::debug!(%peer, %address, is_first, "connected");
        if is_first {
            self.connected.send_modify(|peers| {
                Arc::make_mut(peers).insert(peer);
            });
            self.exchange.connected(peer);
            self.persistent.connected(&peer);
        }
        self.dials.reached(&peer, connection);
    }

    fn connection_closed(&mut self, peer: PeerId, cause: String) {
        tracing::debug!(%peer, cause, "disconnected");
        self.connected.send_modify(|peers| {
            Arc::make_mut(peers).remove(&peer);
        });
        self.exchange.disconnected(peer);
        self.subscriptions.count_peers(&self.swarm.behaviour().pubsub);
        self.persistent.disconnected(&peer, format!("the connection broke: {cause}"));
    }

    fn listener_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } => self.listening.send_modify(|all| all.push(address)),
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.stopped_listening(std::slice::from_ref(&address));
                if let Some(own) = addresses::host_of(&address) {
                    self.own_address_gone(own);
                }
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                self.stopped_listening(&addresses);
                let reason =
                    reason.err().map_or_else(|| "the listener closed".to_owned(), |error| error.to_string());
                addresses.into_iter().for_each(|address| self.listen_failed(address, reason.clone()));
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener has trouble"),
            // What began is reported again when it succeeds or fails. Nobody is dialled of whom nobody knows who it is, and
            // what others say of this node's addresses is not to be believed.
            SwarmEvent::IncomingConnection { .. }
            | SwarmEvent::Dialing { .. }
            | SwarmEvent::OutgoingConnectionError { peer_id: None, .. }
            | SwarmEvent::NewExternalAddrCandidate { .. }
            | SwarmEvent::ExternalAddrConfirmed { .. }
            | SwarmEvent::ExternalAddrExpired { .. }
            | SwarmEvent::NewExternalAddrOfPeer { .. } => {}
            // The enumeration may grow with libp2p.
            other => tracing::debug!(event = ?other, "an event of libp2p that is not known here"),
        }
    }

    fn stopped_listening(&self, gone: &[Multiaddr]) {
        self.listening.send_modify(|all| all.retain(|address| !gone.contains(address)));
    }
}
