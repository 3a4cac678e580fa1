//! Slots at relays, and direct connections with peers that were reached through a relay.
use std::sync::Arc;
use std::time::{Duration, Instant};

use libp2p::core::transport::ListenerId;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::swarm::ConnectionId;
use libp2p::{Multiaddr, PeerId, identify};

use super::Driver;
use super::connecting::NamedBy;
use crate::node::addresses;
use crate::node::circuits;
use crate::node::connections::SETTLED;
use crate::node::paths::Path;
use crate::node::punch::Punch;
use crate::node::reachability;
use crate::node::relay::slots;

/// Time after which a relayed connection that a service uses is looked at again.
const IN_USE: Duration = Duration::from_secs(5);

/// The statements of a connected peer about itself and about this node.
#[derive(Debug)]
pub(super) struct Identity {
    is_relay: bool,
    /// Whether the peer checks addresses of others.
    is_server: bool,
    /// The address at which the peer sees this node, if this node dialled it directly.
    observed: Option<Multiaddr>,
}

/// Waits until this moment, or for ever without one.
pub(super) async fn wait_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

impl Driver {
    /// Notes what a connected peer says of itself and of this node.
    pub(super) fn identified(&mut self, peer: PeerId, connection: ConnectionId, info: identify::Info) {
        let is_dialled = self.connections.is_dialled_directly(&peer, connection);
        let observed = is_dialled.then_some(info.observed_addr);
        let is_relay = slots::is_relay(&info.protocols);
        let is_server = reachability::is_server(&info.protocols);
        self.identities.insert(peer, Identity { is_relay, is_server, observed });
        self.use_identity(&peer);
    }

    /// Uses what a persistent peer said. Other peers are not believed.
    pub(super) fn use_identity(&mut self, peer: &PeerId) {
        if !self.persistent.chosen().borrow().contains(peer) {
            return;
        }
        let Some(identity) = self.identities.get(peer) else { return };
        let place = self.connections.dialled_directly(peer);
        // A peer on a network of this host sees no address translator.
        let is_outside = place.is_some_and(|place| !self.limits.networks().is_near(&place));
        if let Some(observed) = &identity.observed {
            self.observed.reported(*peer, observed, is_outside);
        }
        self.slots.offered(*peer, identity.is_relay);
        self.reachability.offered(*peer, identity.is_server && is_outside);
        self.use_observed();
        self.ask_relays();
    }

    /// Asks relays for slots, unless others reach this node without one.
    pub(super) fn ask_relays(&mut self) {
        let now = Instant::now();
        let to_ask = if self.needs_no_relay() { Vec::new() } else { self.slots.to_ask(now) };
        for relay in to_ask {
            // A relay that dialled this node has no address that others could use.
            let Some(place) = self.connections.dialled_directly(&relay) else {
                self.slots.failed(relay, now);
                continue;
            };
            match self.swarm.listen_on(circuits::through(&place, relay)) {
                Ok(listener) => self.slots.asked(relay, listener, place),
                Err(error) => {
                    tracing::debug!(%relay, %error, "the relay cannot be asked for a slot");
                    self.slots.failed(relay, now);
                }
            }
        }
    }

    pub(super) fn slot_reserved(&mut self, listener: ListenerId) {
        if self.slots.reserved(listener) {
            self.tell_slots();
        }
    }

    /// Handles the end of a slot. Returns whether the listener belonged to one.
    pub(super) fn slot_lost(&mut self, listener: ListenerId) -> bool {
        let lost = self.slots.lost(listener, Instant::now());
        if lost.is_some() {
            self.tell_slots();
            self.ask_relays();
        }
        lost.is_some()
    }

    pub(super) fn relay_disconnected(&mut self, peer: &PeerId) {
        self.identities.remove(peer);
        self.served.disconnected(peer);
        self.slots.disconnected(peer);
        self.observed.forget(peer);
        self.reachability.offered(*peer, false);
        self.use_observed();
        self.punches.forget(peer);
        self.tell_slots();
        self.ask_relays();
    }

    /// Disconnects from a relay that is not a persistent peer any more. The library offers no safe way to give back a
    /// slot alone.
    pub(super) fn leave_relay(&mut self, peer: &PeerId) {
        if self.slots.has_slot_at(peer) {
            let _ = self.swarm.disconnect_peer_id(*peer);
        }
    }

    fn tell_slots(&self) {
        let addresses = self.slots.addresses();
        self.relayed.send_if_modified(|told| {
            let is_new = *told != addresses;
            *told = addresses;
            is_new
        });
    }

    /// Tells nodes with slots at this node an address at which they are reached, if this node is a relay.
    pub(super) fn offer_as_relay(&mut self, address: &Multiaddr) {
        let is_fit = addresses::host_of(address).is_some_and(|ip| {
            !addresses::is_link_local(ip) && (!ip.is_loopback() || self.rules.allow_loopback)
        });
        if self.is_relay && is_fit {
            self.swarm.add_external_address(address.clone());
        }
    }

    pub(super) fn tell_paths(&self) {
        let paths = Arc::new(self.connections.paths());
        self.paths.send_if_modified(|told| {
            let is_new = *told != paths;
            *told = paths;
            is_new
        });
    }

    /// Begins hole punching with a peer that called this node through a relay.
    pub(super) fn connected_over(&mut self, peer: PeerId, endpoint: &ConnectedPoint) {
        if !Path::of(endpoint).is_relayed() {
            self.punches.forget(&peer);
            self.settled = Some(Instant::now() + SETTLED);
        } else if endpoint.is_listener() {
            self.punch_again(peer);
        }
    }

    /// Begins hole punching with a peer, if it called this node and all connections with it are relayed.
    pub(super) fn punch_again(&mut self, peer: PeerId) {
        if self.connections.is_only_relayed(&peer) && self.connections.has_called(&peer) {
            self.punches.begin(peer, self.observed.addresses(&self.listening.borrow()));
        }
    }

    /// Dials a peer at the moment at which it dials this node.
    pub(super) fn punch(&mut self, Punch { peer, addresses, has_begun }: Punch) {
        if !self.connections.is_only_relayed(&peer) {
            return;
        }
        let mut addresses = self.usable(peer, addresses);
        addresses.retain(|address| !circuits::is_relayed(address));
        let role = if has_begun { Endpoint::Listener } else { Endpoint::Dialer };
        tracing::debug!(%peer, ?addresses, ?role, "hole punching");
        if let Err(error) = self.dial_as(role, peer, addresses, NamedBy::Others) {
            tracing::debug!(%peer, %error, "a peer cannot be dialled for hole punching");
        }
    }

    /// Closes relayed connections with peers that are connected directly. While a service uses streams with the peer, it
    /// may use them over the relay, so such a connection is looked at again later.
    pub(super) fn close_superseded(&mut self) {
        let services = self.swarm.behaviour().service.registry();
        self.settled = None;
        for (peer, connection) in self.connections.superseded(Instant::now()) {
            if services.is_in_use(&peer) {
                self.settled = Some(Instant::now() + IN_USE);
                continue;
            }
            tracing::debug!(?connection, "closing a relayed connection: a direct one exists");
            self.swarm.close_connection(connection);
        }
    }
}
