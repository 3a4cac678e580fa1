//! The state of one connected peer.
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use cid::Cid;

use super::pace::{Meter, Pace};
use super::wants::Place;
use super::{Config, Key};
use crate::message::{Block, Entry, MAX_ITEMS, Message, Presence, WantType};

/// Identifies a want of a peer: multihash, version and codec of the CID. A peer may want the same bytes under several
/// CIDs, and gets them under each.
pub(super) type WantKey = (Key, u64, u64);

/// Returns the key of a CID. In the order of keys, all CIDs of one multihash are adjacent.
pub(super) fn want_key(cid: &Cid) -> WantKey {
    (*cid.hash(), u64::from(cid.version()), cid.codec())
}

/// Returns the range of the keys of all CIDs with this multihash.
pub(super) fn same_bytes(hash: &Key) -> RangeInclusive<WantKey> {
    (*hash, 0, 0)..=(*hash, u64::MAX, u64::MAX)
}

/// One want of the peer that is not answered yet.
#[derive(Debug)]
pub(super) struct PeerWant {
    pub(super) cid: Cid,
    pub(super) want_type: WantType,
    pub(super) send_dont_have: bool,
    /// The block's place in [`Peer::queue`], if it is stored here and waits to be sent.
    pub(super) queued: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Entries and presences for the next message.
    pub(super) outbox: Outbox,
    /// Whether a message to the peer is under way.
    pub(super) sending: bool,
    /// Whether the caller is reading blocks for the peer.
    pub(super) loading: bool,
    /// Blocks that have been read for the next message.
    pub(super) ready: Vec<Block>,
    pub(super) wants: BTreeMap<WantKey, PeerWant>,
    /// Blocks to send, in the order in which they became available, with their sizes in bytes.
    pub(super) queue: BTreeMap<u64, (WantKey, usize)>,
    pub(super) next_place: u64,
    /// Identifies the peer in rendezvous hashing.
    pub(super) token: u64,
    /// The wants that may be requested from the peer, the best first.
    pub(super) candidates: BTreeSet<Place>,
    /// Number of blocks that were requested from the peer and have not arrived.
    pub(super) in_flight: usize,
    /// The rate and latency of the peer's link.
    pub(super) meter: Meter,
    /// The peer's first fetches: times at which it got a block from a source before the other wanters.
    pub(super) firsts: Pace,
    /// Time of the last progress: a whole block, or [`LEAST_PROGRESS`](super::LEAST_PROGRESS) bytes of blocks.
    pub(super) heard: Duration,
    /// Number of block bytes that arrived since the last progress.
    pub(super) trickle: u64,
    /// Number of timeouts in a row.
    pub(super) failures: u32,
    /// End of the peer's backoff, during which nothing is requested from it.
    pub(super) aside_until: Duration,
    /// Number of block bytes that the peer may still send without penalty, because they were requested before they
    /// became unwanted.
    pub(super) allowance: u64,
    /// Number of bytes in wanted blocks that the peer sent.
    pub(super) received: u64,
    /// Number of bytes in blocks that the peer sent unrequested.
    pub(super) unwanted: u64,
}

impl Peer {
    /// Returns whether one more block may be requested from the peer.
    pub(super) fn has_slot(&self, config: &Config, block: u64) -> bool {
        self.in_flight < self.slots(config, block)
    }

    /// Returns the maximum number of blocks that may be under way from the peer at a time.
    ///
    /// It is the smallest number that keeps the peer's link busy. Blocks that are not requested yet can still be requested
    /// from a faster peer.
    pub(super) fn slots(&self, config: &Config, block: u64) -> usize {
        if self.meter.rate().is_none() {
            // At the beginning it is unknown which other peers want its blocks.
            return 1;
        }
        (config.slots + self.meter.blocks_under_way(block)).min(config.max_slots)
    }

    /// Records that a block was requested.
    pub(super) fn take_slot(&mut self, now: Duration) {
        if self.in_flight == 0 {
            self.meter.begin(now);
        }
        self.in_flight += 1;
    }

    /// Records that a requested block arrived, or is no longer awaited.
    pub(super) fn free_slot(&mut self, now: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.meter.pause(now);
        }
    }

    /// Returns whether the peer wants these bytes, under any CID.
    pub(super) fn wants_block(&self, hash: &Key) -> bool {
        self.wants.range(same_bytes(hash)).next().is_some()
    }

    /// Removes a want of the peer, and its block from the queue.
    pub(super) fn drop_want(&mut self, key: &WantKey) -> Option<PeerWant> {
        let want = self.wants.remove(key)?;
        if let Some(place) = want.queued {
            self.queue.remove(&place);
        }
        Some(want)
    }

    /// Queues the block of a want for sending, if it is not queued already.
    pub(super) fn enqueue(&mut self, key: WantKey, size: usize) {
        let Some(want) = self.wants.get_mut(&key) else {
            return;
        };
        if want.queued.is_none() {
            want.queued = Some(self.next_place);
            self.queue.insert(self.next_place, (key, size));
            self.next_place += 1;
        }
    }

    /// Takes the blocks to read next from the queue: at least one, and more if they fit into `limit` bytes together.
    ///
    /// They are read while the previous message is still being sent.
    pub(super) fn next_load(&mut self, limit: usize) -> Option<Vec<Cid>> {
        if self.loading || !self.ready.is_empty() || self.queue.is_empty() {
            return None;
        }
        let (mut cids, mut bytes) = (Vec::new(), 0usize);
        while let Some(entry) = self.queue.first_entry() {
            bytes = bytes.saturating_add(entry.get().1);
            if !cids.is_empty() && (bytes > limit || cids.len() >= MAX_ITEMS) {
                break;
            }
            let (key, _) = entry.remove();
            cids.extend(self.wants.get_mut(&key).map(|want| {
                want.queued = None;
                want.cid
            }));
        }
        self.loading = true;
        Some(cids)
    }

    /// Returns the next message, unless one is under way or there is nothing to send.
    pub(super) fn next_message(&mut self) -> Option<Message> {
        if self.sending {
            return None;
        }
        let mut message = self.outbox.take();
        message.blocks = std::mem::take(&mut self.ready);
        message.pending_bytes = self.pending_bytes();
        self.sending = !message.is_empty();
        self.sending.then_some(message)
    }

    fn pending_bytes(&self) -> u32 {
        let bytes: usize = self.queue.values().map(|(_, size)| size).sum();
        u32::try_from(bytes).unwrap_or(u32::MAX)
    }
}

/// Entries and presences for the next messages to a peer. Of each CID only the latest is kept, so the size is bounded by
/// the wants of both sides.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    entries: BTreeMap<WantKey, Entry>,
    presences: BTreeMap<WantKey, Presence>,
    full: bool,
}

impl Outbox {
    pub(super) fn want_have(&mut self, cid: Cid) {
        self.entries.insert(want_key(&cid), Entry::want(cid, WantType::Have));
    }

    pub(super) fn want_block(&mut self, cid: Cid) {
        self.entries.insert(want_key(&cid), Entry::want(cid, WantType::Block));
    }

    pub(super) fn cancel(&mut self, cid: Cid) {
        self.entries.insert(want_key(&cid), Entry::cancel(cid));
    }

    pub(super) fn presence(&mut self, cid: Cid, have: bool) {
        self.presences.insert(want_key(&cid), Presence { cid, have });
    }

    pub(super) fn drop_presence(&mut self, key: &WantKey) {
        self.presences.remove(key);
    }

    pub(super) fn presences(&self) -> usize {
        self.presences.len()
    }

    /// Makes the next message replace the peer's copy of our wantlist, since that copy may be out of date.
    ///
    /// The caller then adds all current wants.
    pub(super) fn start_over(&mut self) {
        self.entries.clear();
        self.full = true;
    }

    fn take(&mut self) -> Message {
        Message {
            full: std::mem::take(&mut self.full),
            wantlist: take_some(&mut self.entries),
            presences: take_some(&mut self.presences),
            ..Message::default()
        }
    }
}

/// Maximum number of entries, and of presences, in one message. Each takes at most 120 bytes, so together they fill less
/// than half of the largest message. The rest is left for blocks.
const ITEMS_PER_MESSAGE: usize = MAX_ITEMS / 2;

fn take_some<T>(from: &mut BTreeMap<WantKey, T>) -> Vec<T> {
    let mut taken = Vec::with_capacity(from.len().min(ITEMS_PER_MESSAGE));
    while taken.len() < ITEMS_PER_MESSAGE {
        let Some((_, item)) = from.pop_first() else { break };
        taken.push(item);
    }
    taken
}
