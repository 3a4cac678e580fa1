//! Which block is asked of whom.
//!
//! Each want is listed with the peers that may be asked for it ([`Engine::relist`]), anew whenever something about it
//! changes; a peer with a free slot is asked for the best of its list ([`Engine::fill`]).
use std::cmp::Reverse;
use std::fmt::Debug;
use std::time::Duration;

use super::rendezvous::score;
use super::wants::{Group, Place, Want};
use super::{Engine, Key, Peer};

/// A peer that had a block before others this many times as seldom as this one is too slow to be waited for.
const SLOWER: u32 = 4;
/// However quick this node is, others may take so long.
const LEAST_PATIENCE: Duration = Duration::from_millis(500);
/// Whoever begins at the same moment has said what he wants by then.
const BEGINNING: Duration = Duration::from_millis(200);
/// Of so many wants for each peer some are this node's own to fetch first, almost surely.
const ENOUGH: usize = 4;
/// When nothing comes at all, each next in rank may try after so much more time.
const NEXT_IN_RANK: Duration = Duration::from_millis(250);
/// So many at one time are given a block by each that has it.
const RELAYS: usize = 3;
/// Time after which one more of those that wait for a spreading block may ask for it.
const NEXT_WANTER: Duration = Duration::from_millis(50);
/// A source is asked for what is spreading already only if it is this many times as fast as those who spread it.
const FASTER: f64 = 8.0;

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Takes a want out of all lists.
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

    /// Lists a want with the peers that may be asked for it now, and with no others.
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

    /// The peers that may be asked for a block.
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
        // What is not known yet may well be fast.
        let best = spreaders.iter().map(|peer| self.rate(peer).unwrap_or(f64::MAX / 4.0)).fold(0.0, f64::max);
        let is_better = |peer: &P| {
            want.spreaders.contains(peer) || self.rate(peer).is_some_and(|rate| rate >= FASTER * best)
        };
        fit.into_iter().filter(is_better).collect()
    }

    /// Returns who fetches first what this node may ask for.
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

    /// Returns whether this node is among the next wanters that the peers with the block have time for.
    ///
    /// If all asked at once, a slow uplink would be done with all of them last; so it gives the block to a few, who give it
    /// to the others.
    fn is_among_next(&self, now: Duration, want: &Want<P>) -> bool {
        let own = score(self.token, want.cid.hash());
        let waiting = want.wanters.iter().filter(|peer| !want.havers.contains(peer));
        let tokens = waiting.filter_map(|peer| self.peers.get(peer)).map(|state| state.token);
        let above = tokens.filter(|token| score(*token, want.cid.hash()) > own).count();
        let waited = now.saturating_sub(want.spreading.unwrap_or(now)).as_millis() / NEXT_WANTER.as_millis();
        let relays: usize = want.spreaders.iter().map(|peer| self.relays(peer)).sum();
        above < relays + usize::try_from(waited).unwrap_or(usize::MAX / 2)
    }

    /// How many can be given a block by a peer at one time so that none of them waits for long.
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

    /// Whether this node is the one to ask a source for a block that others want too.
    ///
    /// It is when it has the highest score of all that can be waited for. Nobody is waited for for ever: not who is much
    /// slower than this node, once the sources have time for it; and when nothing at all comes, one after the other tries.
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

    /// Tells who wants a block too. As long as others may just have begun, that is everybody who may, unless there would be
    /// nothing to do.
    fn who_may_want(&self, now: Duration, want: &Want<P>) -> impl Fn(&P) -> bool {
        let has_enough = || {
            self.wants.len() >= ENOUGH * self.peers.len()
                || self.peers.values().any(|state| state.in_flight > 0)
        };
        let is_beginning = now < self.begun + BEGINNING && has_enough();
        move |peer| want.wanters.contains(peer) || (is_beginning && !want.havers.contains(peer))
    }

    /// Whether a peer gets what it is to fetch first much more slowly than this node does.
    fn is_late(&self, now: Duration, peer: &P, since: Duration) -> bool {
        let Some(state) = self.peers.get(peer) else { return true };
        let mean = self.firsts.mean(self.begun, now);
        let lately = self.firsts.interval.unwrap_or(mean);
        let patience = |own: Duration| own.max(LEAST_PATIENCE / SLOWER) * SLOWER;
        let last = state.firsts.last.unwrap_or(since).max(since).max(self.begun);
        // Blocks come in bursts, so the latest alone say too little.
        let is_silent = now.saturating_sub(last) > patience((lately + mean) / 2);
        // At the end few still fetch, each of them fast: the others only seem to be slow then.
        is_silent || state.firsts.interval.is_some_and(|interval| interval > patience(lately.max(mean)))
    }

    /// How many may come before this node in rank and it tries all the same, since nothing comes from anybody.
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

    /// Asks every peer that has a free slot for something that it has.
    pub(super) fn fill_all(&mut self, now: Duration) {
        let (config, block) = (&self.config, self.block_bytes);
        let is_free = |state: &super::Peer| !state.candidates.is_empty() && state.has_slot(config, block);
        let free: Vec<P> =
            self.peers.iter().filter(|(_, state)| is_free(state)).map(|(name, _)| *name).collect();
        free.into_iter().for_each(|peer| self.fill(now, &peer));
    }

    fn fill(&mut self, now: Duration, peer: &P) {
        // Each round asks for something or takes it off the list, so the list's length bounds them.
        while self.has_slot(peer)
            && let Some(place) = self.peers.get(peer).and_then(|state| state.candidates.first().copied())
            && let Some(key) = self.keys.get(&place.5).copied()
        {
            // It may be another's turn by now, or another's time.
            self.relist(now, &key);
            let Some(best) = self.best_of(&key) else { continue };
            self.ask(now, &key, best);
        }
    }

    /// Of the peers with a free slot that may be asked for a block, the one that will be done first.
    fn best_of(&self, key: &Key) -> Option<P> {
        let (_, peers) = self.wants.get(key)?.listed.as_ref()?;
        let time = |peer: &P| {
            let state = self.peers.get(peer)?;
            let bytes = self.block_bytes * (state.in_flight as u64 + 1);
            Some((state.failures, state.meter.time_for(bytes), *peer))
        };
        peers.iter().filter(|peer| self.has_slot(peer)).filter_map(time).min().map(|(.., peer)| peer)
    }

    /// Asks a peer for a block.
    pub(super) fn ask(&mut self, now: Duration, key: &Key, peer: P) {
        self.unlist(key);
        let (Some(want), Some(state)) = (self.wants.get_mut(key), self.peers.get_mut(&peer)) else {
            return;
        };
        want.asked.push((peer, now));
        state.take_slot(now);
        state.outbox.want_block(want.cid);
    }

    /// Lists anew all wants that nobody is asked for: what time alone changes.
    pub(super) fn relist_waiting(&mut self, now: Duration) {
        let is_waiting = |want: &&Want<P>| want.is_open() && want.asked.is_empty() && !want.havers.is_empty();
        let keys: Vec<Key> = self.wants.values().filter(is_waiting).map(|want| *want.cid.hash()).collect();
        keys.iter().for_each(|key| self.relist(now, key));
    }
}

/// What only sources have comes first, then the rarest, then what most others want as well: who does not want a block yet may
/// be the one to fetch it first. Between equals this node's own rank decides, which is as good as chance: so all have different
/// blocks to give.
fn place<P: Copy + Ord>(want: &Want<P>, group: Group) -> Place {
    let wanters = if group == Group::Spreading { 0 } else { want.wanters.len() };
    (Reverse(want.priority), group, want.havers.len(), Reverse(wanters), want.rank, want.sequence)
}
