//! Timeouts, second requests and repeated announcements.
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use super::wants::Want;
use super::{Engine, Key, Output};

/// Multiple of a block's expected time after which a second peer is asked for it too.
const LATE: u32 = 3;
/// Multiple of a block's expected time after which a peer that sends nothing has timed out.
const SILENT: u32 = 8;
/// Multiple of a peer's time limit after which a block has timed out, even if the peer still sends.
const AT_MOST: u32 = 12;
/// Rate of a link, in bytes per second, below which its time limit is not extended.
const LEAST_RATE: f64 = 512.0;
/// Base of the exponential backoff of a peer that failed: it is doubled for each failure in a row, at most six times.
const ASIDE: Duration = Duration::from_secs(2);

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Ends the requests that have timed out, so that other peers can be asked.
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

    /// Returns the peers whose request for a block has timed out.
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

    /// Returns the maximum time in which a peer may send none of the blocks that were requested from it.
    fn time_limit(&self, peer: &P) -> Duration {
        let state = self.peers.get(peer);
        // Below this rate, the peer counts as silent and not as slow, so its time limit is not extended.
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
            // Replaces the WANT-BLOCK by a WANT-HAVE: the peer may become useful again later.
            state.outbox.want_have(cid);
        }
        self.relist(now, key);
    }

    /// Requests late blocks from a second peer. Near the end of a file, one slow peer would otherwise delay the whole file.
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
        // If a spreader has the block, no source is asked: a source is slow because many nodes ask it.
        let is_spreading = !want.spreaders.is_empty();
        let others = if is_spreading { &want.spreaders } else { &want.havers };
        let others = others.iter().filter(|peer| *peer != first && self.has_time(now, peer));
        let time = |peer: &&P| self.peers.get(*peer).map(|state| state.meter.time_for(self.block_bytes));
        let other = others.min_by_key(time)?;
        let there = self.peers.get(other).filter(|state| state.meter.rate().is_some());
        let there = there.map_or(usual, |state| state.meter.time_for(self.block_bytes) * 2);
        if is_spreading && !want.spreaders.contains(first) && there < usual {
            // The source may not have begun to send the block. The cancellation then saves its uplink.
            return Some(*other);
        }
        // A second request to a faster, idle spreader costs little, so it may be sent sooner.
        let pause = self.config.patience / if is_spreading && there < usual { 8 } else { 2 };
        (now >= *since + usual.min(there) * LATE + pause).then_some(*other)
    }

    /// Returns whether a peer without recent failures has a free slot and no candidates.
    pub(super) fn has_time(&self, now: Duration, peer: &P) -> bool {
        self.peers.get(peer).is_some_and(|state| {
            state.aside_until <= now
                && state.failures == 0
                && state.candidates.is_empty()
                && state.has_slot(&self.config, self.block_bytes)
        })
    }

    /// Announces again the wants that no peer has. Messages can be lost unnoticed by both sides.
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

    /// Asks the caller to disconnect a peer and to refuse its connections for some time.
    pub(super) fn leave_aside(&mut self, peer: P, reason: &'static str) {
        self.statistics.left_aside += 1;
        self.outputs.push_back(Output::LeaveAside { peer, reason });
    }
}

/// Number of failures in a row after which the peer is dialled again, since the connection may be the cause.
const FAILURES_TO_RECONNECT: u32 = 2;
