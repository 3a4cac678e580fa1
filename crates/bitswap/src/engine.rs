//! The deciding part: which block to ask of whom and when, and whom to serve what.
//!
//! Sans I/O: the caller tells what happened and what time it is ([`Engine::connected`], [`Engine::received`],
//! [`Engine::want`] ...), then takes [`Output`]s until there are none, and calls [`Engine::tick`] when
//! [`Engine::next_wake`] is reached. Times are durations since any fixed start.
//!
//! How it fetches: every want is announced to all peers as WANT-HAVE; of the peers that have it the one that will be done
//! first is asked for the block, the rarest block first, with as few blocks under way from each peer as keep its link
//! busy; when it is stored, all others are told. What several want and only sources have is fetched from these by one of
//! them, found by rendezvous hashing, and goes on from there: so it leaves a slow source about once. A peer that says HAVE
//! and does not send in the time that its link needs is left aside for a while, and another is asked. How it serves: a
//! want for a block that is not there is kept, and answered the moment the block is stored: that is what lets a file
//! spread while it is still being fetched.
//!
//! To each peer goes one message at a time; what is to be said meanwhile gathers, and what it cancels out is gone.
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

/// What blocks are known by: the same bytes are one block, whatever version and codec a CID gives them.
pub(crate) type Key = Multihash<64>;

/// What files are cut into, by default, here and in Kubo.
const USUAL_BLOCK_BYTES: u64 = 256 * 1024;
/// Fewer bytes are no sign of life: whoever drips holds up as much as who is silent.
const LEAST_PROGRESS: u64 = 1024;
/// How often time alone is looked at while something is under way, and while nothing is.
const TICKS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// The state machine. `P` names a peer; a libp2p peer ID in the daemon, a number in tests.
#[derive(Debug)]
pub struct Engine<P> {
    config: Config,
    token: u64,
    peers: BTreeMap<P, Peer>,
    wants: BTreeMap<Key, Want<P>>,
    /// The wants by their numbers.
    keys: BTreeMap<u64, Key>,
    next_sequence: u64,
    /// How large blocks are: the largest that came so far.
    block_bytes: u64,
    /// When wanted blocks came.
    arrivals: Pace,
    /// When blocks came that this node was the first to fetch from their source.
    firsts: Pace,
    /// Since when something is wanted.
    begun: Duration,
    /// Time alone may change something soon.
    is_busy: bool,
    ticked: Duration,
    outputs: VecDeque<Output<P>>,
    statistics: Statistics,
}

impl<P: Copy + Ord + Debug> Engine<P> {
    /// An engine without peers and wants. `token` is what all others know this node by in rendezvous hashing, see
    /// [`Engine::connected`]; its choices between equals follow from it as well.
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

    /// The next thing to do. Take them all after each input.
    pub fn poll_output(&mut self) -> Option<Output<P>> {
        if self.outputs.is_empty() {
            self.flush();
        }
        self.outputs.pop_front()
    }

    /// Counters since the start.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// How many blocks are wanted here.
    #[cfg(test)]
    fn wants(&self) -> usize {
        self.wants.len()
    }

    /// A peer that speaks Bitswap can be sent messages from now on. `token` is a number that every node knows it by, the
    /// same on all, and is spread evenly.
    pub fn connected(&mut self, now: Duration, peer: P, token: u64) {
        self.disconnected(now, peer);
        let mut state = Peer { token, ..Peer::default() };
        if !self.wants.is_empty() {
            // This node may have begun anew, and the peer may not have noticed: what was wanted before does not count.
            state.outbox.start_over();
        }
        for want in self.wants.values().filter(|want| want.is_open()) {
            state.outbox.want_have(want.cid);
        }
        self.peers.insert(peer, state);
    }

    /// A peer is gone; what it was asked for is asked of others.
    pub fn disconnected(&mut self, now: Duration, peer: P) {
        if self.peers.remove(&peer).is_none() {
            return;
        }
        self.outputs.retain(|output| !output.is_request_of(&peer));
        self.forget_messages_of(now, &peer);
        self.fill_all(now);
    }

    /// Treats a peer as if it had never sent a message.
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

    /// A message came from a peer. Ignored when the peer is not connected.
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

    /// Bytes of a message with blocks came from a peer; the rest of it is still under way.
    pub fn receiving(&mut self, now: Duration, peer: P, bytes: u64) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.meter.came(now, bytes);
            state.trickle += bytes;
            if state.trickle >= LEAST_PROGRESS {
                (state.heard, state.trickle) = (now, 0);
            }
        }
    }

    /// The message of [`Output::Send`] is on its way, and the next one may follow.
    pub fn sent(&mut self, peer: P) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.sending = false;
        }
    }

    /// The message of [`Output::Send`] was lost, but the peer is still connected. Everything wanted is said again;
    /// the peer says again what it wants when it misses an answer.
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
        // What it wants it wants still.
        let keys: Vec<Key> = self.wants.keys().copied().collect();
        keys.iter().for_each(|key| self.note_wanter(now, peer, key));
        self.fill_all(now);
    }

    /// The answer to [`Output::LookUp`].
    pub fn looked_up(&mut self, peer: P, answers: impl IntoIterator<Item = (Cid, Option<usize>)>) {
        for (cid, size) in answers {
            self.answer(peer, &cid, size);
        }
    }

    /// The answer to [`Output::Load`]: the blocks that could be read, in the order of the request; `missing` those
    /// that could not.
    pub fn loaded(&mut self, peer: P, blocks: Vec<Block>, missing: &[Cid]) {
        self.blocks_loaded(peer, blocks, missing);
    }

    /// A block is stored now, however it came: wanted here, or added locally. `size` is its length in bytes.
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

    /// Handles whatever is due at `now`.
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

    /// When [`Engine::tick`] is to be called next, if nothing else happens before.
    pub fn next_wake(&self) -> Option<Duration> {
        let pause = if self.is_busy { TICKS.0 } else { TICKS.1 };
        (!self.wants.is_empty()).then(|| self.ticked + pause)
    }

    /// Hands out at most one message and one load request for each peer.
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
