//! Serves the wants of peers.
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use cid::Cid;

use super::peer::{PeerWant, WantKey, same_bytes, want_key};
use super::{Config, Engine, Key, Output};
use crate::message::{Block, Entry, WantType};

/// Minimum number of wants that each peer may have, even if there are many peers. It exceeds the number of wants that the
/// fetch of one file announces.
const LEAST_PEER_WANTS: usize = 1024;

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Applies the changes of a peer's wantlist, and asks the caller to look up the new wants.
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
        // Drops blocks that were read for an earlier entry. On a slow link such a block can have waited for seconds.
        state.ready.retain(|block| !changed.contains(&want_key(&block.cid)));
        if !cids.is_empty() {
            self.outputs.push_back(Output::LookUp { peer, cids });
        }
        changed.iter().for_each(|(key, ..)| self.note_wanter(now, peer, key));
    }

    /// Returns the maximum number of wants per peer. With many peers it is smaller, down to [`LEAST_PEER_WANTS`].
    fn wants_allowed(&self) -> usize {
        let Config { max_peer_wants, max_all_peer_wants, .. } = self.config;
        max_peer_wants.min((max_all_peer_wants / self.peers.len().max(1)).max(LEAST_PEER_WANTS))
    }

    /// Updates whether a peer is a wanter of a block that is wanted here.
    pub(super) fn note_wanter(&mut self, now: Duration, peer: P, key: &Key) {
        let wants_it = self.peers.get(&peer).is_some_and(|state| state.wants_block(key));
        let Some(want) = self.wants.get_mut(key) else { return };
        let changed = if wants_it { want.wanters.insert(peer) } else { want.wanters.remove(&peer) };
        if changed {
            self.relist(now, key);
        }
    }

    /// Answers one want of a peer. `size` is the size of the stored block, or `None` if it is not stored.
    pub(super) fn answer(&mut self, peer: P, cid: &Cid, size: Option<usize>) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        let key = want_key(cid);
        let Some(want) = state.wants.get(&key) else { return };
        match size {
            Some(size) => self.answer_have(peer, key, size),
            // A queued block was stored while the look-up was under way.
            None if want.send_dont_have && want.queued.is_none() => state.outbox.presence(*cid, false),
            None => {}
        }
    }

    /// Answers all wants of a peer for a block that has just been stored, under any CID.
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

    /// Puts blocks that were read into the next message, unless the peer has cancelled its want.
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
        // The want is kept, since the block may be stored again later.
        for cid in missing {
            if state.wants.get(&want_key(cid)).is_some_and(|want| want.send_dont_have) {
                state.outbox.presence(*cid, false);
            }
        }
    }
}
