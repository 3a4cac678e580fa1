//! What time changes: peers that do not send what they have, and wants that nobody heard of.
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use super::wants::Want;
use super::{Engine, Key, Output};

/// A block may take so many times as long as the link's rate says before another peer is asked for it as well.
const LATE: u32 = 3;
/// A link is silent after so many times of what a block takes.
const SILENT: u32 = 8;
/// However much comes, a block that does not come in so many times of the shortest time limit is given up.
const AT_MOST: u32 = 12;
/// Bytes in a second below which a link is taken for silent.
const LEAST_RATE: f64 = 512.0;
/// How long a peer that failed is left aside, doubled with each failure in a row up to 2^6.
const ASIDE: Duration = Duration::from_secs(2);

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Gives up what does not come, and asks others.
    pub(super) fn time_out(&mut self, now: Duration) {
        let mut failed = BTreeSet::new();
        for key in self.asked_keys() {
            for peer in self.overdue(now, &key) {
                self.give_up(now, &key, peer);
                failed.insert(peer);
            }
        }
        for peer in failed {
            self.statistics.timeouts += 1;
            if let Some(state) = self.peers.get_mut(&peer) {
                state.failures = state.failures.saturating_add(1);
                state.aside_until = now + ASIDE * (1 << state.failures.min(6));
            }
            if self.peers.get(&peer).is_some_and(|state| state.failures == FAILURES_TO_RECONNECT) {
                self.outputs.push_back(Output::Reconnect { peer });
            }
        }
    }

    fn asked_keys(&self) -> Vec<Key> {
        let is_asked = |want: &&Want<P>| !want.asked.is_empty();
        self.wants.values().filter(is_asked).map(|want| *want.cid.hash()).collect()
    }

    /// The peers that are asked for a block and will not send it any more, as it seems.
    fn overdue(&self, now: Duration, key: &Key) -> Vec<P> {
        let asked = self.wants.get(key).map_or(&[][..], |want| &want.asked);
        let is_overdue = |(peer, since): &&(P, Duration)| {
            let Some(state) = self.peers.get(peer) else { return true };
            let patience = self.time_limit(peer);
            let heard = (*since).max(state.heard);
            now >= heard + patience || now >= *since + patience * AT_MOST
        };
        asked.iter().filter(is_overdue).map(|(peer, _)| *peer).collect()
    }

    /// How long a peer that is asked for blocks may send nothing of them.
    fn time_limit(&self, peer: &P) -> Duration {
        let state = self.peers.get(peer);
        // Who drips is not slow, but silent.
        let state = state.filter(|state| state.meter.rate().is_some_and(|rate| rate >= LEAST_RATE));
        let block = state.map(|state| state.meter.time_for(self.block_bytes)).unwrap_or_default();
        (block * SILENT).clamp(self.config.block_timeout, self.config.block_timeout * 6)
    }

    fn give_up(&mut self, now: Duration, key: &Key, peer: P) {
        let Some(want) = self.wants.get_mut(key) else { return };
        want.asked.retain(|(asked, _)| *asked != peer);
        let cid = want.cid;
        if let Some(state) = self.peers.get_mut(&peer) {
            state.free_slot(now);
            state.allowance = state.allowance.saturating_add(self.block_bytes);
            // Replaces the want for the block by one for its presence: the peer may still be of use later.
            state.outbox.want_have(cid);
        }
        self.relist(now, key);
    }

    /// Asks a second peer for what is late: near the end of a file one slow peer would hold up all.
    pub(super) fn ask_twice(&mut self, now: Duration) {
        for key in self.asked_keys() {
            if let Some(peer) = self.second_for(now, &key) {
                self.ask(now, &key, peer);
            }
        }
    }

    fn second_for(&self, now: Duration, key: &Key) -> Option<P> {
        let want = self.wants.get(key)?;
        let [(first, since)] = want.asked.as_slice() else { return None };
        let state = self.peers.get(first)?;
        let usual = state.meter.time_for(self.block_bytes * state.in_flight as u64);
        // A source is left alone while somebody else has it: it is slow because all ask it.
        let is_spreading = !want.spreaders.is_empty();
        let others = if is_spreading { &want.spreaders } else { &want.havers };
        let others = others.iter().filter(|peer| *peer != first && self.has_time(now, peer));
        let time = |peer: &&P| self.peers.get(*peer).map(|state| state.meter.time_for(self.block_bytes));
        let other = others.min_by_key(time)?;
        let there = self.peers.get(other).filter(|state| state.meter.rate().is_some());
        let there = there.map_or(usual, |state| state.meter.time_for(self.block_bytes) * 2);
        if is_spreading && !want.spreaders.contains(first) && there < usual {
            // The source may not have begun to send it, and need not.
            return Some(*other);
        }
        // What is known to come sooner from somebody with nothing to do costs little.
        let pause = self.config.patience / if is_spreading && there < usual { 8 } else { 2 };
        (now >= *since + usual.min(there) * LATE + pause).then_some(*other)
    }

    /// Whether a peer that never failed has nothing else to send.
    pub(super) fn has_time(&self, now: Duration, peer: &P) -> bool {
        self.peers.get(peer).is_some_and(|state| {
            state.aside_until <= now
                && state.failures == 0
                && state.candidates.is_empty()
                && state.has_slot(&self.config, self.block_bytes)
        })
    }

    /// Messages get lost in ways that neither side sees; saying it again now and then heals that.
    pub(super) fn announce_again(&mut self, now: Duration) {
        let interval = self.config.announce_interval;
        let is_quiet = |want: &&mut Want<P>| {
            want.is_open() && want.havers.is_empty() && want.announced + interval <= now
        };
        for want in self.wants.values_mut().filter(is_quiet) {
            want.announced = now;
            for peer in self.peers.values_mut() {
                peer.outbox.want_have(want.cid);
            }
        }
    }

    /// Wants nothing to do with a peer any more.
    pub(super) fn leave_aside(&mut self, peer: P, reason: &'static str) {
        self.statistics.left_aside += 1;
        self.outputs.push_back(Output::LeaveAside { peer, reason });
    }
}

/// After so many failures in a row the connection may be to blame.
const FAILURES_TO_RECONNECT: u32 = 2;
