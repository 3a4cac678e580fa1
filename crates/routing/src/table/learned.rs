//! Who was heard where.

use crate::Address;
use dcache::PeerId;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The most learned routes.
pub const MAX_LEARNED: usize = 1024;
/// The most of them that lead to one peer.
pub const MAX_WAYS: usize = 8;
/// How long a learned route is of use after the peer was heard there.
pub const LEARNED_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// For how long what was heard is taken to be still so; the cheapest of such ways is the best.
const RECENT: Duration = Duration::from_secs(2 * 60);

/// A learned route: `/dswarm/PEER/brain => VIA/$0`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LearnedRoute {
    /// To whom.
    pub peer: PeerId,
    /// The channel by which it was heard.
    pub via: Address,
    /// What a byte costs there.
    pub cost: u8,
    /// How many seconds ago it was heard there last.
    pub age: u64,
}

/// One way to a peer.
#[derive(Clone, Debug)]
pub(super) struct Way {
    via: Address,
    cost: u8,
    heard: Duration,
}

/// All that is learned.
#[derive(Clone, Debug, Default)]
pub(super) struct Learned {
    peers: BTreeMap<PeerId, Vec<Way>>,
    count: usize,
}

impl Learned {
    pub(super) fn learn(&mut self, peer: PeerId, via: &Address, cost: u8, now: Duration) {
        if let Some(way) =
            self.peers.get_mut(&peer).and_then(|ways| ways.iter_mut().find(|way| way.via == *via))
        {
            (way.cost, way.heard) = (cost, now);
            return;
        }
        self.make_room(peer);
        self.peers.entry(peer).or_default().push(Way { via: via.clone(), cost, heard: now });
        self.count += 1;
    }

    /// The oldest goes: of this peer's, when it has many, so that nobody displaces others by showing up everywhere.
    fn make_room(&mut self, peer: PeerId) {
        if self.peers.get(&peer).is_some_and(|ways| ways.len() >= MAX_WAYS) {
            self.drop_oldest(peer);
        } else if self.count >= MAX_LEARNED {
            let all =
                self.peers.iter().flat_map(|(peer, ways)| ways.iter().map(move |way| (way.heard, *peer)));
            if let Some((_, peer)) = all.min() {
                self.drop_oldest(peer);
            }
        }
    }

    fn drop_oldest(&mut self, peer: PeerId) {
        let Some(ways) = self.peers.get_mut(&peer) else { return };
        if let Some((oldest, _)) = ways.iter().enumerate().min_by_key(|(_, way)| way.heard) {
            ways.swap_remove(oldest);
            self.count -= 1;
        }
        if ways.is_empty() {
            self.peers.remove(&peer);
        }
    }

    /// Of the ways heard lately the cheapest, else the latest.
    pub(super) fn best(&self, peer: PeerId, now: Duration) -> Option<&Way> {
        let live =
            || self.peers.get(&peer).into_iter().flatten().filter(|way| way.age(now) <= LEARNED_LIFETIME);
        let recent = live().filter(|way| way.age(now) <= RECENT);
        recent
            .min_by_key(|way| (way.cost, Reverse(way.heard), &way.via))
            .or_else(|| live().min_by_key(|way| (Reverse(way.heard), way.cost, &way.via)))
    }

    pub(super) fn routes(&self, now: Duration) -> impl Iterator<Item = LearnedRoute> {
        let all = self.peers.iter().flat_map(|(peer, ways)| ways.iter().map(move |way| (*peer, way)));
        all.filter(move |(_, way)| way.age(now) <= LEARNED_LIFETIME)
            .map(move |(peer, way)| way.route(peer, now))
    }

    /// Frees what is of no more use.
    pub(super) fn age_out(&mut self, now: Duration) {
        for ways in self.peers.values_mut() {
            ways.retain(|way| way.age(now) <= LEARNED_LIFETIME);
        }
        self.peers.retain(|_, ways| !ways.is_empty());
        self.count = self.peers.values().map(Vec::len).sum();
    }
}

impl Way {
    pub(super) fn via(&self) -> &Address {
        &self.via
    }

    fn age(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard)
    }

    /// The same for those who read it.
    pub(super) fn route(&self, peer: PeerId, now: Duration) -> LearnedRoute {
        LearnedRoute { peer, via: self.via.clone(), cost: self.cost, age: self.age(now).as_secs() }
    }
}

impl fmt::Display for LearnedRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { peer, via, cost, age } = self;
        write!(f, "/dswarm/{peer}/brain => {via}/$0 (heard {age} s ago, cost {cost})")
    }
}
