//! Selects the blocks to request from each peer.
//!
//! Each want is a candidate of the peers that may be asked for it. [`Engine::relist`] updates these lists whenever the
//! want changes. A peer with a free slot is asked for the best of its candidates ([`Engine::fill`]).
use std::cmp::Reverse;
use std::fmt::Debug;
use std::time::Duration;

use super::rendezvous::score;
use super::wants::{Group, Place, Want};
use super::{Engine, Key, Peer};

/// Factor by which a peer's interval between first fetches may exceed ours before we stop waiting for the peer.
const SLOWER: u32 = 4;
/// Minimum time to wait for a peer's first fetches, even if this node is very fast.
const LEAST_PATIENCE: Duration = Duration::from_millis(500);
/// Time after the first want in which every connected peer counts as a wanter. Peers that begin at the same moment have
/// announced their wants by its end.
const BEGINNING: Duration = Duration::from_millis(200);
/// Number of wants per peer above which rendezvous hashing almost surely assigns some of them to this node.
const ENOUGH: usize = 4;
/// Interval at which one more wanter, in the order of rank, may ask the source while no wanted block arrives at all.
const NEXT_IN_RANK: Duration = Duration::from_millis(250);
/// Maximum number of wanters that request a block from the same spreader at the same time.
const RELAYS: usize = 3;
/// Interval at which one more of the wanters that wait for a spreading block may request it.
const NEXT_WANTER: Duration = Duration::from_millis(50);
/// Factor by which a source has to be faster than the fastest spreader to be asked for a spreading block.
const FASTER: f64 = 8.0;

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Removes a want from the candidates of all peers.
    pub(super) fn unlist(&mut self, key: &Key) {
        let Some((place, peers)) = self.wants.get_mut(key).and_then(|want| want.listed.take()) else {
            return;
        };
        for peer in peers {
            if let Some(state) = self.peers.get_mut(&peer) {
                state.candidates.remove(&place);
            }
        }
    }

    /// Makes a want a candidate of exactly those peers that may be asked for it now.
    pub(super) fn relist(&mut self, now: Duration, key: &Key) {
        self.unlist(key);
        let Some(want) = self.wants.get(key) else { return };
        if want.is_storing || !want.asked.is_empty() || want.havers.is_empty() {
            return;
        }
        let peers = self.whom_to_ask(now, want);
        if peers.is_empty() {
            return;
        }
        let place = place(want, self.group(now, want));
        for peer in &peers {
            if let Some(state) = self.peers.get_mut(peer) {
                state.candidates.insert(place);
            }
        }
        if let Some(want) = self.wants.get_mut(key) {
            want.listed = Some((place, peers));
        }
    }

    /// Returns the peers that may be asked for a block now.
    fn whom_to_ask(&self, now: Duration, want: &Want<P>) -> Vec<P> {
        let is_fit = |peer: &P| self.peers.get(peer).is_some_and(|state| state.aside_until <= now);
        let fit: Vec<P> = want.havers.iter().copied().filter(is_fit).collect();
        let spreaders: Vec<P> = fit.iter().copied().filter(|peer| want.spreaders.contains(peer)).collect();
        if spreaders.is_empty() {
            return if self.may_fetch_first(now, want, &fit) { fit } else { Vec::new() };
        }
        if !self.is_among_next(now, want) {
            return Vec::new();
        }
        // A spreader whose rate is unknown may be fast, so it counts as very fast.
        let best = spreaders.iter().map(|peer| self.rate(peer).unwrap_or(f64::MAX / 4.0)).fold(0.0, f64::max);
        let is_better = |peer: &P| {
            want.spreaders.contains(peer) || self.rate(peer).is_some_and(|rate| rate >= FASTER * best)
        };
        fit.into_iter().filter(is_better).collect()
    }

    /// Returns the group of a want that this node may request now.
    fn group(&self, now: Duration, want: &Want<P>) -> Group {
        if !want.spreaders.is_empty() {
            return Group::Spreading;
        }
        let own = score(self.token, want.cid.hash());
        let is_rival = self.who_may_want(now, want);
        let is_above = |peer: &P, state: &Peer| score(state.token, want.cid.hash()) > own && is_rival(peer);
        let is_other = self.peers.iter().any(|(peer, state)| is_above(peer, state));
        if is_other { Group::TakenOver } else { Group::Own }
    }

    /// Returns whether this node is one of the next wanters that may request a spreading block.
    ///
    /// If all wanters requested it at once, a slow uplink would serve all of them at the same, late time. So the spreaders
    /// give it to a few wanters, which give it to the others.
    fn is_among_next(&self, now: Duration, want: &Want<P>) -> bool {
        let own = score(self.token, want.cid.hash());
        let waiting = want.wanters.iter().filter(|peer| !want.havers.contains(peer));
        let tokens = waiting.filter_map(|peer| self.peers.get(peer)).map(|state| state.token);
        let above = tokens.filter(|token| score(*token, want.cid.hash()) > own).count();
        let waited = now.saturating_sub(want.spreading.unwrap_or(now)).as_millis() / NEXT_WANTER.as_millis();
        let relays: usize = want.spreaders.iter().map(|peer| self.relays(peer)).sum();
        above < relays + usize::try_from(waited).unwrap_or(usize::MAX / 2)
    }

    /// Returns the number of wanters that a peer can send a block to within [`NEXT_WANTER`], from 1 to [`RELAYS`].
    fn relays(&self, peer: &P) -> usize {
        let Some(state) = self.peers.get(peer).filter(|state| state.meter.rate().is_some()) else {
            return RELAYS;
        };
        let takes = state.meter.time_for(self.block_bytes).max(Duration::from_millis(1));
        ((NEXT_WANTER.as_millis() / takes.as_millis()) as usize).clamp(1, RELAYS)
    }

    fn rate(&self, peer: &P) -> Option<f64> {
        self.peers.get(peer)?.meter.rate()
    }

    /// Returns whether this node may request a block from a source although other peers want it too.
    ///
    /// It may if it has the highest score of all wanters that are worth waiting for. A much slower wanter is not waited for
    /// once a source has a free slot. While no wanted block arrives at all, the wanters try one after the other.
    fn may_fetch_first(&self, now: Duration, want: &Want<P>, sources: &[P]) -> bool {
        let own = score(self.token, want.cid.hash());
        let is_rival = self.who_may_want(now, want);
        let above = self.peers.iter().filter(|(_, state)| score(state.token, want.cid.hash()) > own);
        let above = above.map(|(peer, _)| peer).filter(|peer| is_rival(peer));
        let is_idle = || sources.iter().any(|peer| self.has_slot(peer));
        let mut above = above.filter(|peer| !(is_idle() && self.is_late(now, peer, want.wanted)));
        match self.ranks_that_may_try(now) {
            0 => above.next().is_none(),
            ranks => above.count() <= ranks,
        }
    }

    /// Returns a predicate that tells whether a peer wants a block too.
    ///
    /// During [`BEGINNING`], every peer that does not have the block counts as a wanter. This applies only if this node
    /// is busy all the same: it wants many blocks, or a request is under way.
    fn who_may_want(&self, now: Duration, want: &Want<P>) -> impl Fn(&P) -> bool {
        let has_enough = || {
            self.wants.len() >= ENOUGH * self.peers.len()
                || self.peers.values().any(|state| state.in_flight > 0)
        };
        let is_beginning = now < self.begun + BEGINNING && has_enough();
        move |peer| want.wanters.contains(peer) || (is_beginning && !want.havers.contains(peer))
    }

    /// Returns whether a peer gets its share of first fetches much more slowly than this node.
    fn is_late(&self, now: Duration, peer: &P, since: Duration) -> bool {
        let Some(state) = self.peers.get(peer) else { return true };
        let mean = self.firsts.mean(self.begun, now);
        let lately = self.firsts.interval.unwrap_or(mean);
        let patience = |own: Duration| own.max(LEAST_PATIENCE / SLOWER) * SLOWER;
        let last = state.firsts.last.unwrap_or(since).max(since).max(self.begun);
        // Blocks arrive in bursts, so the moving average of the intervals alone is not reliable.
        let is_silent = now.saturating_sub(last) > patience((lately + mean) / 2);
        // Near the end few nodes still fetch, so each of them is fast. Compared with the latest interval alone, the other
        // nodes would wrongly seem slow.
        is_silent || state.firsts.interval.is_some_and(|interval| interval > patience(lately.max(mean)))
    }

    /// Returns the number of wanters that may rank above this node without keeping it from asking a source.
    ///
    /// The number is 0 unless no wanted block has arrived for longer than usual.
    fn ranks_that_may_try(&self, now: Duration) -> usize {
        let usual = self.arrivals.interval.unwrap_or_default() * 8;
        let patience = usual.clamp(self.config.patience, self.config.patience * 8);
        let last = self.arrivals.last.unwrap_or_default().max(self.begun);
        let silent = now.saturating_sub(last).saturating_sub(patience);
        usize::try_from(silent.as_millis() / NEXT_IN_RANK.as_millis()).unwrap_or(usize::MAX)
    }

    fn has_slot(&self, peer: &P) -> bool {
        self.peers.get(peer).is_some_and(|state| state.has_slot(&self.config, self.block_bytes))
    }

    /// Requests candidates from every peer with a free slot.
    pub(super) fn fill_all(&mut self, now: Duration) {
        let (config, block) = (&self.config, self.block_bytes);
        let is_free = |state: &super::Peer| !state.candidates.is_empty() && state.has_slot(config, block);
        let free: Vec<P> =
            self.peers.iter().filter(|(_, state)| is_free(state)).map(|(name, _)| *name).collect();
        free.into_iter().for_each(|peer| self.fill(now, &peer));
    }

    fn fill(&mut self, now: Duration, peer: &P) {
        // Each iteration requests the first candidate or removes it, so the number of candidates bounds the iterations.
        while self.has_slot(peer)
            && let Some(place) = self.peers.get(peer).and_then(|state| state.candidates.first().copied())
            && let Some(key) = self.keys.get(&place.5).copied()
        {
            // The list may be out of date, since the set of peers to ask depends on the time.
            self.relist(now, &key);
            let Some(best) = self.best_of(&key) else { continue };
            self.ask(now, &key, best);
        }
    }

    /// Returns the peer with a free slot that is expected to deliver a block first.
    fn best_of(&self, key: &Key) -> Option<P> {
        let (_, peers) = self.wants.get(key)?.listed.as_ref()?;
        let time = |peer: &P| {
            let state = self.peers.get(peer)?;
            let bytes = self.block_bytes * (state.in_flight as u64 + 1);
            Some((state.failures, state.meter.time_for(bytes), *peer))
        };
        peers.iter().filter(|peer| self.has_slot(peer)).filter_map(time).min().map(|(.., peer)| peer)
    }

    /// Requests a block from a peer.
    pub(super) fn ask(&mut self, now: Duration, key: &Key, peer: P) {
        self.unlist(key);
        let (Some(want), Some(state)) = (self.wants.get_mut(key), self.peers.get_mut(&peer)) else {
            return;
        };
        want.asked.push((peer, now));
        state.take_slot(now);
        state.outbox.want_block(want.cid);
    }

    /// Updates the lists of all wants that are not requested from a peer, since these lists depend on the time.
    pub(super) fn relist_waiting(&mut self, now: Duration) {
        let is_waiting = |want: &&Want<P>| want.is_open() && want.asked.is_empty() && !want.havers.is_empty();
        let keys: Vec<Key> = self.wants.values().filter(is_waiting).map(|want| *want.cid.hash()).collect();
        keys.iter().for_each(|key| self.relist(now, key));
    }
}

/// Returns the place of a want among the candidates of a peer. Smaller places are requested first.
///
/// At equal priority, blocks that only sources have come first, then the rarest. Of these, the blocks come first that most
/// other peers want: a peer that comes to want a block later may rank higher for it. Between equals, this node's own rank
/// decides. The ranks differ from node to node like random numbers, so the nodes fetch different blocks and can exchange
/// them.
fn place<P: Copy + Ord>(want: &Want<P>, group: Group) -> Place {
    let wanters = if group == Group::Spreading { 0 } else { want.wanters.len() };
    (Reverse(want.priority), group, want.havers.len(), Reverse(wanters), want.rank, want.sequence)
}
