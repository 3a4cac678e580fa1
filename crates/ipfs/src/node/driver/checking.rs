//! The checks whether the addresses of this node lead to it, and those that this node makes for others.
use std::time::Instant;

use libp2p::{Multiaddr, PeerId};

use super::Driver;
use crate::node::addresses::{host_of, is_quic, socket_of, without_peer};
use crate::node::circuits::is_relayed;
use crate::node::reachability::{Asked, Event};

impl Driver {
    pub(super) fn reachability_event(&mut self, event: Event) {
        match event {
            Event::Checked => {
                self.tell_outside();
                // Also a check without a result ends the wait for it.
                self.ask_relays();
            }
            Event::Requested(asked) => {
                let chosen = self.chosen_to_check(&asked);
                self.reachability.serve(asked, chosen);
            }
        }
    }

    /// Begins the check that is due, if there is one.
    pub(super) fn check_addresses(&mut self) {
        self.reachability.check(self.started.elapsed());
    }

    /// Returns the time of the next check.
    pub(super) fn next_check(&self) -> Option<Instant> {
        self.reachability.next_due().map(|due| self.started + due)
    }

    /// Uses what peers observed, after a report or the list of listening addresses has changed.
    pub(super) fn use_observed(&mut self) {
        let (listening, seen) = (self.listening.borrow().clone(), self.observed.reports());
        self.reachability.observed(self.observed.outside(&listening), &seen, &listening);
        self.tell_outside();
    }

    fn tell_outside(&self) {
        let outside = self.reachability.outside();
        self.outside.send_if_modified(|told| {
            let is_new = *told != outside;
            *told = outside;
            is_new
        });
    }

    /// Returns the time of the next request for a slot at a relay.
    pub(super) fn next_slot(&self) -> Option<Instant> {
        self.slots.next_due().filter(|_| !self.needs_no_relay())
    }

    /// Returns whether this node needs no slot at a relay: others reach it directly, or it has an address of the kind that
    /// others probably reach, and the check of it is in progress.
    pub(super) fn needs_no_relay(&self) -> bool {
        let own: Vec<_> = self.listening.borrow().iter().filter_map(host_of).collect();
        let seen = self.observed.outside(&self.listening.borrow());
        let is_own = |address: &Multiaddr| host_of(address).is_some_and(|host| own.contains(&host));
        let without_translator: Vec<Multiaddr> = seen.into_iter().filter(is_own).collect();
        self.is_relay || self.reachability.is_public() || self.reachability.is_coming(&without_translator)
    }

    /// Chooses the address to check for a client: the first one on the host from which the client is connected. It must
    /// be fit under the rule for all addresses that others name.
    fn chosen_to_check(&mut self, asked: &Asked) -> Option<(u32, Multiaddr)> {
        let peer = asked.peer();
        let hosts = self.connections.direct_hosts(&peer);
        let is_fit = |address: &Multiaddr| {
            let is_there = host_of(address).is_some_and(|host| hosts.contains(&host));
            is_there && !is_quic(address) && !is_relayed(address)
        };
        let fit: Vec<(u32, Multiaddr)> = asked
            .addresses()
            .filter(|(_, address)| is_fit(address))
            .map(|(index, address)| (index, without_peer(address)))
            .collect();
        fit.into_iter().find(|(_, address)| self.may_check(peer, address))
    }

    fn may_check(&mut self, peer: PeerId, address: &Multiaddr) -> bool {
        let is_usable = !self.usable(peer, vec![address.clone()]).is_empty();
        let elapsed = self.started.elapsed();
        is_usable && socket_of(address).is_some_and(|at| self.targets.admit(peer, at, elapsed))
    }
}
