//! Handles the events of the swarm. For each event that is ignored, a comment gives the reason.
use std::sync::Arc;
use std::time::{Duration, Instant};

use libp2p::core::ConnectedPoint;
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, ping};

use super::Driver;
use super::connecting::NamedBy;
use crate::node::addresses;
use crate::node::circuits::is_relayed;
use crate::node::dial_message::{dial_message, reason};
use crate::node::inbound::Inbound;
use crate::node::swarm::BehaviourEvent;
use crate::node::types::ConnectError;

/// Time after a received message during which a peer counts as alive although its ping failed.
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
                self.tell_paths();
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
                tracing::debug!(address = %send_back_addr, %error, "an incoming connection was refused or failed");
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
            BehaviourEvent::Identify(identify::Event::Received { connection_id, peer_id, info }) => {
                self.identified(peer_id, connection_id, info);
            }
            BehaviourEvent::RelayClient(event) => tracing::debug!(?event, "a relay served this node"),
            BehaviourEvent::Relay(event) => {
                tracing::debug!(?event, "this node as a relay");
                self.served.apply(&event);
            }
            BehaviourEvent::Identify(identify::Event::Error { peer_id, error, .. }) => {
                tracing::debug!(peer = %peer_id, ?error, "a peer did not identify itself");
            }
            // Pings that succeed need no action.
            BehaviourEvent::Ping(ping::Event { result: Ok(_), .. })
            | BehaviourEvent::Identify(identify::Event::Sent { .. } | identify::Event::Pushed { .. }) => {}
            // The caller that opens a stream gets the result itself.
            BehaviourEvent::Outbound(()) => {}
            BehaviourEvent::Limits(never)
            | BehaviourEvent::Sources(never)
            | BehaviourEvent::Service(never)
            | BehaviourEvent::KeepAlive(never) => match never {},
        }
    }

    /// Closes a connection on which pings fail. The ping behaviour only reports failures.
    fn ping_failed(&mut self, peer: PeerId, connection: ConnectionId, error: &ping::Failure) {
        // On a busy link, answers to pings may be late.
        let is_only = self.connections.with(&peer) == [connection];
        let is_busy = is_only && self.exchange.is_heard_within(&peer, ALIVE);
        if is_busy || matches!(error, ping::Failure::Unsupported) {
            return;
        }
        tracing::debug!(%peer, %error, "closing a connection that does not answer pings");
        self.swarm.close_connection(connection);
    }

    fn not_reached(&mut self, peer: PeerId, connection: ConnectionId, error: &DialError) {
        tracing::debug!(%peer, %error, "a peer was not reached");
        if let DialError::WrongPeerId { address, .. } | DialError::LocalPeerId { address } = error {
            // The address now belongs to another robot, or it is an address that every host has.
            if let DialError::WrongPeerId { obtained, .. } = error {
                // The peer at this address has proved its identity. The address stays usable for it, even if many
                // other peers name it.
                self.answered(*obtained, address);
            }
            let others = self.dials.met_another(&peer, connection, address);
            if !others.is_empty() && self.dial(peer, others, NamedBy::Others).is_ok() {
                return;
            }
        }
        let failure = ConnectError::Failed(peer, reason(error));
        let was_last = self.dials.failed(&peer, connection, &failure);
        if was_last {
            self.punch_again(peer);
        }
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
        self.tell_paths();
        self.connected_over(peer, endpoint);
    }

    fn connection_closed(&mut self, peer: PeerId, cause: String) {
        tracing::debug!(%peer, cause, "disconnected");
        self.connected.send_modify(|peers| {
            Arc::make_mut(peers).remove(&peer);
        });
        self.exchange.disconnected(peer);
        self.subscriptions.count_peers(&self.swarm.behaviour().pubsub);
        self.persistent.disconnected(&peer, format!("the connection broke: {cause}"));
        self.relay_disconnected(&peer);
    }

    fn listener_event(&mut self, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { listener_id, address } if is_relayed(&address) => {
                self.slot_reserved(listener_id);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                self.offer_as_relay(&address);
                self.listening.send_modify(|all| all.push(address));
                self.dial_waiting();
                self.use_observed();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } if is_relayed(&address) => {}
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                self.swarm.remove_external_address(&address);
                self.stopped_listening(std::slice::from_ref(&address));
                if let Some(own) = addresses::host_of(&address) {
                    self.own_address_gone(own);
                }
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason }
                if self.slot_lost(listener_id) || addresses.iter().any(is_relayed) =>
            {
                tracing::debug!(?addresses, ?reason, "a slot at a relay was lost or refused");
            }
            SwarmEvent::ListenerClosed { addresses, reason, .. } => {
                self.stopped_listening(&addresses);
                let reason =
                    reason.err().map_or_else(|| "the listener closed".to_owned(), |error| error.to_string());
                addresses.into_iter().for_each(|address| self.listen_failed(address, reason.clone()));
            }
            SwarmEvent::ListenerError { error, .. } => tracing::warn!(%error, "a listener reported an error"),
            // Started connections are reported again when they succeed or fail. A peer is never dialled without its
            // peer ID. Addresses that peers report for this node are not trusted.
            SwarmEvent::IncomingConnection { .. }
            | SwarmEvent::Dialing { .. }
            | SwarmEvent::OutgoingConnectionError { peer_id: None, .. }
            | SwarmEvent::NewExternalAddrCandidate { .. }
            | SwarmEvent::ExternalAddrConfirmed { .. }
            | SwarmEvent::ExternalAddrExpired { .. }
            | SwarmEvent::NewExternalAddrOfPeer { .. } => {}
            // libp2p may add variants to this enumeration.
            other => tracing::debug!(event = ?other, "unknown libp2p event"),
        }
    }

    fn stopped_listening(&self, gone: &[Multiaddr]) {
        self.listening.send_modify(|all| all.retain(|address| !gone.contains(address)));
    }
}
