//! What is remembered of one connected peer.
use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::time::Duration;

use cid::Cid;

use super::pace::{Meter, Pace};
use super::wants::Place;
use super::{Config, Key};
use crate::message::{Block, Entry, MAX_ITEMS, Message, Presence, WantType};

/// A peer may want the same bytes under several CIDs, and is to get them under each.
pub(super) type WantKey = (Key, u64, u64);

/// The key of a CID, ordered so that all CIDs of one multihash stand side by side.
pub(super) fn want_key(cid: &Cid) -> WantKey {
    (*cid.hash(), u64::from(cid.version()), cid.codec())
}

/// All CIDs of one multihash.
pub(super) fn same_bytes(hash: &Key) -> RangeInclusive<WantKey> {
    (*hash, 0, 0)..=(*hash, u64::MAX, u64::MAX)
}

/// One want of the peer that is not answered yet.
#[derive(Debug)]
pub(super) struct PeerWant {
    pub(super) cid: Cid,
    pub(super) want_type: WantType,
    pub(super) send_dont_have: bool,
    /// The place in [`Peer::queue`] when the block is stored here and waits to be sent.
    pub(super) queued: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Peer {
    /// What is to be said with the next message.
    pub(super) outbox: Outbox,
    /// A message is under way.
    pub(super) sending: bool,
    /// Blocks are being read for this peer.
    pub(super) loading: bool,
    /// Blocks that are read and go with the next message.
    pub(super) ready: Vec<Block>,
    pub(super) wants: BTreeMap<WantKey, PeerWant>,
    /// Blocks to send, in the order in which they were asked for, with their sizes.
    pub(super) queue: BTreeMap<u64, (WantKey, usize)>,
    pub(super) next_place: u64,
    /// By what it is known in rendezvous hashing.
    pub(super) token: u64,
    /// The wants that it may be asked for, the best first.
    pub(super) candidates: BTreeSet<Place>,
    /// Blocks asked of this peer that have not arrived.
    pub(super) in_flight: usize,
    /// What its link carries.
    pub(super) meter: Meter,
    /// How often it gets a block from a source before others do.
    pub(super) firsts: Pace,
    /// When bytes of blocks last came from it.
    pub(super) heard: Duration,
    /// What came since then, too little to count.
    pub(super) trickle: u64,
    /// How often in a row it did not send what it said to have.
    pub(super) failures: u32,
    /// Until when it is asked for nothing.
    pub(super) aside_until: Duration,
    /// Bytes of blocks that may still come though they are not wanted any more, since they had been asked for.
    pub(super) allowance: u64,
    /// Bytes of wanted blocks that came from it.
    pub(super) received: u64,
    /// Bytes of blocks that came and were never asked for.
    pub(super) unwanted: u64,
}

impl Peer {
    /// Whether one more block may be asked of it.
    pub(super) fn has_slot(&self, config: &Config, block: u64) -> bool {
        self.in_flight < self.slots(config, block)
    }

    /// How many blocks may be under way from it at one time: few, so that what is not asked for yet can come from
    /// whoever has it sooner, but as many as keep its link busy.
    pub(super) fn slots(&self, config: &Config, block: u64) -> usize {
        if self.meter.rate().is_none() {
            // It is not known yet who else wants what it has.
            return 1;
        }
        (config.slots + self.meter.blocks_under_way(block)).min(config.max_slots)
    }

    /// A block was asked for.
    pub(super) fn take_slot(&mut self, now: Duration) {
        if self.in_flight == 0 {
            self.meter.begin(now);
        }
        self.in_flight += 1;
    }

    /// A block that was asked for came, or is not waited for any more.
    pub(super) fn free_slot(&mut self, now: Duration) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if self.in_flight == 0 {
            self.meter.pause(now);
        }
    }

    /// Whether it wants these bytes, under whichever CID.
    pub(super) fn wants_block(&self, hash: &Key) -> bool {
        self.wants.range(same_bytes(hash)).next().is_some()
    }

    /// Forgets a want, also when its block is already queued.
    pub(super) fn drop_want(&mut self, key: &WantKey) -> Option<PeerWant> {
        let want = self.wants.remove(key)?;
        if let Some(place) = want.queued {
            self.queue.remove(&place);
        }
        Some(want)
    }

    /// Queues the block of a want, once.
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

    /// The blocks to read next: one at least, more as long as they fit into `limit` bytes together. They are read
    /// while the message before is still being sent.
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

    /// The next message, when none is under way and there is something to say.
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

/// What the next messages to a peer say: per block, the latest entry only. Bounded by the wants of both sides.
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

    /// Makes the next message say everything that is wanted, since it is not known what the peer heard.
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

/// Entries and presences each take at most 120 bytes, so that half of the items that are allowed to come still
/// leave half of the largest message for blocks.
const ITEMS_PER_MESSAGE: usize = MAX_ITEMS / 2;

fn take_some<T>(from: &mut BTreeMap<WantKey, T>) -> Vec<T> {
    let mut taken = Vec::with_capacity(from.len().min(ITEMS_PER_MESSAGE));
    while taken.len() < ITEMS_PER_MESSAGE {
        let Some((_, item)) = from.pop_first() else { break };
        taken.push(item);
    }
    taken
}
