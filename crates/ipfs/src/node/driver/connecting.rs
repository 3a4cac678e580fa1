//! Dials peers, and probes whether connected peers still answer.
use std::net::IpAddr;
use std::time::{Duration, Instant};

use libp2p::core::Endpoint;
use libp2p::swarm::DialError;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::{Multiaddr, PeerId};

use super::Driver;
use crate::node::addresses::{self, Here};
use crate::node::circuits;
use crate::node::dial_message::{dial_message, reason};
use crate::node::dials::Reply;
use crate::node::probes::Probed;
use crate::node::types::ConnectError;

/// Time without messages after which a connection is probed before the node uses it.
const QUIET: Duration = Duration::from_secs(2);

/// The source of the addresses that are dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedBy {
    /// The list of peers to stay connected with.
    Owner,
    /// Any other source, such as a record of a peer.
    Others,
}

impl Driver {
    /// Connects to a peer. If it is connected already, checks that the connection works and leads to its current
    /// address.
    pub(super) fn connect(&mut self, peer: PeerId, given: Vec<Multiaddr>, reply: Reply) {
        if self.connections.is_left_aside(&peer) {
            let reason = "it is banned for ten minutes because it misbehaved".to_owned();
            let _ = reply.send(Err(ConnectError::Failed(peer, reason)));
            return;
        }
        let addresses = self.usable(peer, given);
        if self.swarm.is_connected(&peer) {
            let _ = reply.send(Ok(()));
            return self.rely_on(peer, &addresses);
        }
        if addresses.is_empty() {
            let _ = reply.send(Err(ConnectError::NoUsableAddress(peer)));
            return;
        }
        match self.dial(peer, addresses, NamedBy::Others) {
            Ok(()) => self.dials.wait(peer, reply),
            Err(error) => drop(reply.send(Err(ConnectError::Failed(peer, reason(&error))))),
        }
    }

    pub(super) fn usable(&self, peer: PeerId, given: Vec<Multiaddr>) -> Vec<Multiaddr> {
        let given = circuits::sensible(given, peer, *self.swarm.local_peer_id());
        let (networks, own) = (self.limits.networks(), self.listening.borrow());
        let here = Here { own: &own, networks: &networks, zones: &self.zones };
        addresses::usable(given, self.rules, &here)
    }

    /// Dials a peer at the given addresses, except those at which it is being dialled already. Addresses that other
    /// peers named are left out when too many dials to them failed recently. When this function succeeds, a dial is in
    /// progress.
    pub(super) fn dial(
        &mut self,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        named_by: NamedBy,
    ) -> Result<(), DialError> {
        self.dial_as(Endpoint::Dialer, peer, addresses, named_by)
    }

    /// Like [`Driver::dial`]. As a listener, this node takes the part of the listener in the handshake.
    pub(super) fn dial_as(
        &mut self,
        role: Endpoint,
        peer: PeerId,
        addresses: Vec<Multiaddr>,
        named_by: NamedBy,
    ) -> Result<(), DialError> {
        let mut untried = self.dials.untried(&peer, addresses);
        if untried.is_empty() {
            return Ok(());
        }
        if named_by == NamedBy::Others {
            let elapsed = self.started.elapsed();
            let mut may = |at: &Multiaddr| {
                addresses::socket_of(at).is_some_and(|at| self.targets.admit(peer, at, elapsed))
            };
            untried.retain(&mut may);
        }
        if untried.is_empty() {
            return if self.dials.is_running(&peer) { Ok(()) } else { Err(DialError::NoAddresses) };
        }
        let options = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(untried.clone());
        let options = if role == Endpoint::Listener { options.override_role() } else { options };
        let options = options.build();
        let id = options.connection_id();
        self.swarm.dial(options)?;
        self.dials.begun(peer, id, untried);
        Ok(())
    }

    /// Dials a persistent peer. The result is reported as for any other dial.
    pub(super) fn dial_persistent(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) {
        if self.swarm.is_connected(&peer) {
            return self.persistent.connected(&peer);
        }
        if let Err(error) = self.dial(peer, addresses, NamedBy::Owner) {
            self.persistent.failed(&peer, dial_message(&error, self.rules.is_private));
        }
    }

    /// Dials the persistent peers that had to wait until this node listens.
    pub(super) fn dial_waiting(&mut self) {
        let ready = self.waiting_dials.ready(&self.listening.borrow(), self.started.elapsed());
        let chosen = self.persistent.chosen();
        // Meanwhile a peer may have been removed from the list.
        let ready = ready.into_iter().filter(|(peer, _)| chosen.borrow().contains(peer)).collect::<Vec<_>>();
        ready.into_iter().for_each(|(peer, addresses)| self.dial_persistent(peer, addresses));
    }

    /// Returns the time at which the next persistent peer is dialled although this node does not listen.
    pub(super) fn waiting_due(&self) -> Option<Instant> {
        self.waiting_dials.next_due().map(|due| self.started + due)
    }

    /// Dials a peer again whose open connection seems dead. The old connection is closed when the new one is
    /// established.
    pub(super) fn reconnect(&mut self, peer: PeerId) {
        let addresses = self.connections.renew(peer);
        if addresses.is_empty() {
            return;
        }
        tracing::debug!(%peer, "the connection is dead or the peer has moved; dialling again");
        if let Err(error) = self.dial(peer, addresses, NamedBy::Others) {
            tracing::debug!(%peer, %error, "the peer cannot be dialled again");
        }
    }

    /// Checks whether a connected peer still answers before the node uses the connection. An open connection can be dead.
    fn rely_on(&mut self, peer: PeerId, addresses: &[Multiaddr]) {
        if self.connections.learn(&peer, addresses) {
            self.probe(peer);
            self.reconnect(peer);
        } else if !self.exchange.is_heard_within(&peer, QUIET) {
            self.probe(peer);
        }
    }

    /// Starts a probe of a connected peer.
    pub(super) fn probe(&mut self, peer: PeerId) {
        let control = self.swarm.behaviour().outbound.new_control();
        self.probes.begin(control, peer, self.connections.with(&peer), self.limits.passed(&peer));
    }

    /// Records that a peer answered at an address.
    pub(super) fn answered(&mut self, peer: PeerId, at: &Multiaddr) {
        if let Some(at) = addresses::socket_of(at) {
            self.targets.reached(peer, at, self.started.elapsed());
        }
    }

    /// Closes the connections of a probe that found them dead.
    pub(super) fn probed(&mut self, probed: &Probed) {
        if !probed.is_dead(self.limits.passed(&probed.peer)) {
            return;
        }
        tracing::debug!(peer = %probed.peer, "the peer does not answer; closing its connections");
        for connection in &probed.connections {
            self.swarm.close_connection(*connection);
        }
    }

    /// Closes the connections to an address that this host no longer has, and probes all other connections.
    pub(super) fn own_address_gone(&mut self, own: IpAddr) {
        for connection in self.connections.to(own) {
            self.swarm.close_connection(connection);
        }
        let connected: Vec<PeerId> = self.swarm.connected_peers().copied().collect();
        connected.into_iter().for_each(|peer| self.probe(peer));
    }
}
