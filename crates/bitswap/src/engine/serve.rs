//! What peers want, and what they get.
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use cid::Cid;

use super::peer::{PeerWant, WantKey, same_bytes, want_key};
use super::{Config, Engine, Key, Output};
use crate::message::{Block, Entry, WantType};

/// However many peers there are, each may have as many wants as one file's fetch announces, and some more.
const LEAST_PEER_WANTS: usize = 1024;

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Takes over the changes of a peer's wantlist, and looks up what is new.
    pub(super) fn wantlist_arrived(&mut self, now: Duration, peer: P, full: bool, entries: Vec<Entry>) {
        let limit = self.wants_allowed();
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        let mut changed: BTreeSet<WantKey> = BTreeSet::new();
        if full {
            changed.extend(state.wants.keys());
            state.wants.clear();
            state.queue.clear();
            state.ready.clear();
        }
        let mut cids = Vec::new();
        for entry in entries {
            let key = want_key(&entry.cid);
            changed.insert(key);
            state.drop_want(&key);
            state.outbox.drop_presence(&key);
            if entry.cancel {
                continue;
            }
            if state.wants.len() + state.outbox.presences() >= limit {
                self.statistics.refused_wants += 1;
                continue;
            }
            cids.push(entry.cid);
            let Entry { cid, want_type, send_dont_have, .. } = entry;
            state.wants.insert(key, PeerWant { cid, want_type, send_dont_have, queued: None });
        }
        // On a slow link a block that was read may wait for seconds.
        state.ready.retain(|block| !changed.contains(&want_key(&block.cid)));
        if !cids.is_empty() {
            self.outputs.push_back(Output::LookUp { peer, cids });
        }
        changed.iter().for_each(|(key, ..)| self.note_wanter(now, peer, key));
    }

    /// How many wants one peer may have: fewer when many peers together have many.
    fn wants_allowed(&self) -> usize {
        let Config { max_peer_wants, max_all_peer_wants, .. } = self.config;
        max_peer_wants.min((max_all_peer_wants / self.peers.len().max(1)).max(LEAST_PEER_WANTS))
    }

    /// Brings up to date whether a peer wants a block that is wanted here as well.
    pub(super) fn note_wanter(&mut self, now: Duration, peer: P, key: &Key) {
        let wants_it = self.peers.get(&peer).is_some_and(|state| state.wants_block(key));
        let Some(want) = self.wants.get_mut(key) else { return };
        let changed = if wants_it { want.wanters.insert(peer) } else { want.wanters.remove(&peer) };
        if changed {
            self.relist(now, key);
        }
    }

    /// Answers one want with what the store says about it.
    pub(super) fn answer(&mut self, peer: P, cid: &Cid, size: Option<usize>) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        let key = want_key(cid);
        let Some(want) = state.wants.get(&key) else { return };
        match size {
            Some(size) => self.answer_have(peer, key, size),
            // Queued means that it was stored while it was being looked up.
            None if want.send_dont_have && want.queued.is_none() => state.outbox.presence(*cid, false),
            None => {}
        }
    }

    /// Answers all wants of a peer for a block that has just been stored, under whichever CIDs.
    pub(super) fn answer_waiting(&mut self, peer: P, hash: &Key, size: usize) {
        let Some(state) = self.peers.get(&peer) else {
            return;
        };
        let keys: Vec<WantKey> = state.wants.range(same_bytes(hash)).map(|(key, _)| *key).collect();
        for key in keys {
            self.answer_have(peer, key, size);
        }
    }

    fn answer_have(&mut self, peer: P, key: WantKey, size: usize) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        match state.wants.get(&key).map(|want| (want.want_type, want.cid)) {
            Some((WantType::Block, _)) => {
                state.outbox.drop_presence(&key);
                state.enqueue(key, size);
            }
            Some((WantType::Have, cid)) => {
                state.wants.remove(&key);
                state.outbox.presence(cid, true);
            }
            None => {}
        }
    }

    /// Puts blocks that were read into the next message, unless the peer cancelled meanwhile.
    pub(super) fn blocks_loaded(&mut self, peer: P, blocks: Vec<Block>, missing: &[Cid]) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        state.loading = false;
        for block in blocks {
            if state.drop_want(&want_key(&block.cid)).is_some() {
                state.ready.push(block);
            }
        }
        // The want stays: the block may come back, and the peer was told that it is not there now.
        for cid in missing {
            if state.wants.get(&want_key(cid)).is_some_and(|want| want.send_dont_have) {
                state.outbox.presence(*cid, false);
            }
        }
    }
}
