//! Routes to peers, learned from the channels on which they were heard.

use crate::Address;
use dcache::PeerId;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Maximum number of learned routes.
pub const MAX_LEARNED: usize = 1024;
/// Maximum number of learned routes to one peer.
pub const MAX_ROUTES_OF_PEER: usize = 8;
/// Time since a peer was last heard on a channel after which the learned route expires.
pub const LEARNED_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// Maximum time since a peer was last heard on a channel for which the route counts as recent. Of recent routes, the
/// cheapest is the best.
const RECENT: Duration = Duration::from_secs(2 * 60);

/// A learned route: `/dswarm/PEER/brain => VIA/$0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LearnedRoute {
    /// Peer to which the route leads.
    pub peer: PeerId,
    /// Channel on which the peer was heard.
    pub via: Address,
    /// Cost of a byte on that channel.
    pub cost: u8,
    /// Seconds since the peer was last heard there.
    pub age: u64,
}

/// A channel on which a peer was heard.
#[derive(Clone, Debug)]
pub(super) struct Route {
    via: Address,
    cost: u8,
    heard: Duration,
}

/// The learned routes.
#[derive(Clone, Debug, Default)]
pub(super) struct Learned {
    peers: BTreeMap<PeerId, Vec<Route>>,
    count: usize,
}

impl Learned {
    pub(super) fn learn(&mut self, peer: PeerId, via: &Address, cost: u8, now: Duration) {
        let known =
            self.peers.get_mut(&peer).and_then(|routes| routes.iter_mut().find(|route| route.via == *via));
        if let Some(route) = known {
            (route.cost, route.heard) = (cost, now);
            return;
        }
        self.make_room(peer);
        self.peers.entry(peer).or_default().push(Route { via: via.clone(), cost, heard: now });
        self.count += 1;
    }

    /// Removes the oldest route if there are too many. If the peer itself has too many routes, removes its oldest one,
    /// so that no peer displaces others by being heard everywhere.
    fn make_room(&mut self, peer: PeerId) {
        if self.peers.get(&peer).is_some_and(|routes| routes.len() >= MAX_ROUTES_OF_PEER) {
            self.drop_oldest(peer);
        } else if self.count >= MAX_LEARNED {
            let heard = self
                .peers
                .iter()
                .flat_map(|(peer, routes)| routes.iter().map(move |route| (route.heard, *peer)));
            if let Some((_, peer)) = heard.min() {
                self.drop_oldest(peer);
            }
        }
    }

    fn drop_oldest(&mut self, peer: PeerId) {
        let Some(routes) = self.peers.get_mut(&peer) else { return };
        if let Some((oldest, _)) = routes.iter().enumerate().min_by_key(|(_, route)| route.heard) {
            routes.swap_remove(oldest);
            self.count -= 1;
        }
        if routes.is_empty() {
            self.peers.remove(&peer);
        }
    }

    /// Returns the cheapest of the recent routes to a peer, or else the latest route.
    pub(super) fn best(&self, peer: PeerId, now: Duration) -> Option<&Route> {
        let live = || {
            let all = self.peers.get(&peer).into_iter().flatten();
            all.filter(|route| route.age(now) <= LEARNED_LIFETIME)
        };
        let recent = live().filter(|route| route.age(now) <= RECENT);
        recent
            .min_by_key(|route| (route.cost, Reverse(route.heard), &route.via))
            .or_else(|| live().min_by_key(|route| (Reverse(route.heard), route.cost, &route.via)))
    }

    pub(super) fn routes(&self, now: Duration) -> impl Iterator<Item = LearnedRoute> {
        let all = self.peers.iter().flat_map(|(peer, routes)| routes.iter().map(move |route| (*peer, route)));
        all.filter(move |(_, route)| route.age(now) <= LEARNED_LIFETIME)
            .map(move |(peer, route)| route.shown(peer, now))
    }

    /// Removes expired routes.
    pub(super) fn age_out(&mut self, now: Duration) {
        for routes in self.peers.values_mut() {
            routes.retain(|route| route.age(now) <= LEARNED_LIFETIME);
        }
        self.peers.retain(|_, routes| !routes.is_empty());
        self.count = self.peers.values().map(Vec::len).sum();
    }
}

impl Route {
    pub(super) fn via(&self) -> &Address {
        &self.via
    }

    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard)
    }

    /// Returns the route in its public form.
    pub(super) fn shown(&self, peer: PeerId, now: Duration) -> LearnedRoute {
        LearnedRoute { peer, via: self.via.clone(), cost: self.cost, age: self.age(now).as_secs() }
    }
}

impl fmt::Display for LearnedRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, via, cost, age } = self;
        write!(f, "/dswarm/{peer}/brain => {via}/$0 (heard {age} s ago, cost {cost})")
    }
}
