//! The engine decides which block to request from which peer and when, and which blocks to send to which peer.
//!
//! It does no I/O. The caller reports events and the time ([`Engine::connected`], [`Engine::received`],
//! [`Engine::want`] ...), and then takes [`Output`]s until there are none. It calls [`Engine::tick`] when the time
//! [`Engine::next_wake`] is reached. Times are durations since any fixed start.
//!
//! # Fetching
//!
//! - Every want is announced to all peers as WANT-HAVE. When the block is stored, the other peers are told.
//! - The rarest block is requested first, from the peer that is expected to deliver it soonest.
//! - Each peer has only as many requested blocks under way as keep its link busy.
//! - A *source* is a peer that has a block and, as far as this node knows, never wanted it. A *spreader* is a peer that
//!   wanted the block first and has it now.
//! - If several nodes want a block that only sources have, rendezvous hashing selects the node that fetches it. The
//!   others get the block from that node. A block thus leaves a slow source about once.
//! - A peer may say HAVE and not send the block before the time limit of its link. Then no block is requested from it
//!   until its backoff ends, and the block is requested from another peer.
//!
//! # Serving
//!
//! A want for a block that is missing here is kept, and answered as soon as the block is stored. A file therefore spreads
//! while it is still being fetched.
//!
//! Only one message to each peer is under way at a time. Later entries are collected for the next message; a newer entry
//! for a block replaces the older one.
mod choose;
mod help;
mod pace;
mod patience;
mod peer;
mod rendezvous;
mod serve;
mod types;
mod wants;

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::time::Duration;

use cid::{Cid, multihash::Multihash};

use crate::message::{Block, Message};
use pace::Pace;
use peer::Peer;
pub use types::{Config, Output, Statistics, TooManyWants};
use wants::Want;

/// Identifies a block. CIDs that differ only in version or codec name the same bytes, and so the same block.
pub(crate) type Key = Multihash<64>;

/// Default size of a file's blocks in bytes, here and in Kubo. Assumed until a larger block arrives.
const USUAL_BLOCK_BYTES: u64 = 256 * 1024;
/// Minimum number of block bytes that count as progress of a peer. A peer that sends a few bytes now and then delays a
/// file as much as a silent one.
const LEAST_PROGRESS: u64 = 1024;
/// Interval between ticks while a peer has a wanted block, and while none has.
const TICKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// The Bitswap state machine. `P` identifies a peer: a libp2p peer ID in the daemon, a number in tests.
#[derive(Debug)]
pub struct Engine<P> {
    config: Config,
    token: u64,
    peers: BTreeMap<P, Peer>,
    wants: BTreeMap<Key, Want<P>>,
    /// The keys of the wants, by their sequence numbers.
    keys: BTreeMap<u64, Key>,
    next_sequence: u64,
    /// Expected block size in bytes: that of the largest wanted block so far.
    block_bytes: u64,
    /// Arrivals of wanted blocks.
    arrivals: Pace,
    /// Arrivals of first fetches: blocks that this node fetched from a source before the other wanters had them.
    firsts: Pace,
    /// Time at which the present fetch began: that of the first want after a time without any wants.
    begun: Duration,
    /// Whether the shorter tick interval applies.
    is_busy: bool,
    ticked: Duration,
    outputs: VecDeque<Output<P>>,
    statistics: Statistics,
}

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Creates an engine without peers and wants.
    ///
    /// `token` identifies this node in rendezvous hashing. All peers have to use the same value for this node, see
    /// [`Engine::connected`]. The token also decides between equally good choices.
    pub fn new(config: Config, token: u64) -> Self {
        Self {
            config,
            token,
            peers: BTreeMap::new(),
            wants: BTreeMap::new(),
            keys: BTreeMap::new(),
            next_sequence: 0,
            block_bytes: USUAL_BLOCK_BYTES,
            arrivals: Pace::default(),
            firsts: Pace::default(),
            begun: Duration::ZERO,
            is_busy: false,
            ticked: Duration::ZERO,
            outputs: VecDeque::new(),
            statistics: Statistics::default(),
        }
    }

    /// Returns the next action for the caller. Call it after each input until it returns `None`.
    pub fn poll_output(&mut self) -> Option<Output<P>> {
        if self.outputs.is_empty() {
            self.flush();
        }
        self.outputs.pop_front()
    }

    /// Returns the counters since the start.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Returns the number of blocks that are wanted here.
    #[cfg(test)]
    fn wants(&self) -> usize {
        self.wants.len()
    }

    /// Adds a connected peer that speaks Bitswap. A peer that was connected before loses its earlier state.
    ///
    /// `token` identifies the peer in rendezvous hashing. It has to be the same on every node, and evenly distributed.
    pub fn connected(&mut self, now: Duration, peer: P, token: u64) {
        self.disconnected(now, peer);
        let mut state = Peer { token, ..Peer::default() };
        if !self.wants.is_empty() {
            // The peer may not have noticed that this node restarted. A full wantlist replaces the earlier wants.
            state.outbox.start_over();
        }
        for want in self.wants.values().filter(|want| want.is_open()) {
            state.outbox.want_have(want.cid);
        }
        self.peers.insert(peer, state);
    }

    /// Removes a peer that has disconnected. Blocks that were requested from it are requested from other peers.
    pub fn disconnected(&mut self, now: Duration, peer: P) {
        if self.peers.remove(&peer).is_none() {
            return;
        }
        self.outputs.retain(|output| !output.is_request_of(&peer));
        self.forget_messages_of(now, &peer);
        self.fill_all(now);
    }

    /// Treats a peer as if it had never said which blocks it has and wants.
    fn forget_messages_of(&mut self, now: Duration, peer: &P) {
        let mut changed = Vec::new();
        for (key, want) in &mut self.wants {
            let is_changed = want.havers.contains(peer) || want.wanters.contains(peer);
            want.forget_haver(peer);
            want.wanters.remove(peer);
            if is_changed {
                changed.push(*key);
            }
        }
        changed.iter().for_each(|key| self.relist(now, key));
    }

    /// Handles a message of a peer. A message of a peer that is not connected is ignored.
    pub fn received(&mut self, now: Duration, peer: P, message: Message) {
        if !self.peers.contains_key(&peer) {
            return;
        }
        for block in message.blocks {
            self.block_arrived(now, peer, block);
        }
        for presence in message.presences {
            self.presence_arrived(now, peer, presence.cid.hash(), presence.have);
        }
        self.wantlist_arrived(now, peer, message.full, message.wantlist);
        self.fill_all(now);
    }

    /// Records that `bytes` of a message with blocks arrived from a peer, while the rest is still under way.
    pub fn receiving(&mut self, now: Duration, peer: P, bytes: u64) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.meter.came(now, bytes);
            state.trickle += bytes;
            if state.trickle >= LEAST_PROGRESS {
                (state.heard, state.trickle) = (now, 0);
            }
        }
    }

    /// Records that the message of [`Output::Send`] was sent. The next message to the peer may follow.
    pub fn sent(&mut self, peer: P) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.sending = false;
        }
    }

    /// Records that the message of [`Output::Send`] was lost, although the peer is still connected.
    ///
    /// All wants are announced to the peer again. The peer repeats its own wants if it misses an answer.
    pub fn send_failed(&mut self, now: Duration, peer: P) {
        let Some(state) = self.peers.get_mut(&peer) else {
            return;
        };
        state.sending = false;
        state.in_flight = 0;
        state.outbox.start_over();
        for want in self.wants.values().filter(|want| want.is_open()) {
            state.outbox.want_have(want.cid);
        }
        self.forget_messages_of(now, &peer);
        // The lost message was ours, so the peer's own wants are still valid.
        let keys: Vec<Key> = self.wants.keys().copied().collect();
        keys.iter().for_each(|key| self.note_wanter(now, peer, key));
        self.fill_all(now);
    }

    /// Handles the answers to [`Output::LookUp`]: for each CID the block's size in bytes, or `None` if it is not stored.
    pub fn looked_up(&mut self, peer: P, answers: impl IntoIterator<Item = (Cid, Option<usize>)>) {
        for (cid, size) in answers {
            self.answer(peer, &cid, size);
        }
    }

    /// Handles the answer to [`Output::Load`]: the blocks that could be read, in the order of the request. `missing` lists
    /// the others.
    pub fn loaded(&mut self, peer: P, blocks: Vec<Block>, missing: &[Cid]) {
        self.blocks_loaded(peer, blocks, missing);
    }

    /// Records that a block is stored now, whether it was fetched or added locally. `size` is its length in bytes.
    pub fn stored(&mut self, now: Duration, cid: &Cid, size: usize) {
        if let Some(want) = self.end(now, cid.hash()) {
            self.outputs.push_back(Output::Satisfied { cid: want.cid });
        }
        let peers: Vec<P> = self.peers.keys().copied().collect();
        for peer in peers {
            self.answer_waiting(peer, cid.hash(), size);
        }
        self.fill_all(now);
    }

    /// Does the work that is due at `now`: ends requests that timed out, repeats announcements, requests blocks, and
    /// requests late blocks from a second peer.
    pub fn tick(&mut self, now: Duration) {
        self.ticked = now;
        self.time_out(now);
        self.announce_again(now);
        self.relist_waiting(now);
        self.fill_all(now);
        self.help(now);
        self.ask_twice(now);
        self.is_busy = self.wants.values().any(|want| !want.havers.is_empty());
    }

    /// Returns the time of the next call of [`Engine::tick`], or `None` if nothing is wanted.
    pub fn next_wake(&self) -> Option<Duration> {
        let pause = if self.is_busy { TICKS.0 } else { TICKS.1 };
        (!self.wants.is_empty()).then(|| self.ticked + pause)
    }

    /// Queues at most one message and one load request for each peer as outputs.
    fn flush(&mut self) {
        for (peer, state) in &mut self.peers {
            if let Some(cids) = state.next_load(self.config.message_bytes) {
                self.outputs.push_back(Output::Load { peer: *peer, cids });
            }
            if let Some(message) = state.next_message() {
                let bytes = message.blocks.iter().map(|block| block.data.len() as u64).sum::<u64>();
                self.statistics.blocks_sent += message.blocks.len() as u64;
                self.statistics.bytes_sent += bytes;
                self.outputs.push_back(Output::Send { peer: *peer, message });
            }
        }
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod swarm_tests;

#[cfg(test)]
mod rate_tests;

#[cfg(test)]
mod order_tests;
