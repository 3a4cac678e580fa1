//! The wants of this node, from the first announcement until the block is stored.
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use cid::Cid;

use super::pace::Pace;
use super::rendezvous::score;
use super::{Engine, Key, Output, TooManyWants};
use crate::message::Block;

/// The place of a want among the candidates of a peer. Smaller places are requested first.
///
/// The fields are: priority, group, number of peers that have the block, number of peers that want it, rank, and the
/// sequence number of the want.
pub(super) type Place = (Reverse<i32>, Group, usize, Reverse<usize>, u64, u64);

/// Groups of wants with equal priority. Wants of an earlier group are requested first.
///
/// A *source* is a peer that has the block and, as far as this node knows, never wanted it. A *spreader* is a peer that
/// has the block after wanting it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// Only sources have the block, and this node ranks first for it.
    Own,
    /// Only sources have the block, and another node ranks first for it, but is late.
    TakenOver,
    /// At least one spreader has the block.
    Spreading,
}

#[derive(Debug)]
pub(super) struct Want<P> {
    pub(super) cid: Cid,
    /// Number of calls of [`Engine::want`] that are not cancelled yet.
    users: usize,
    pub(super) priority: i32,
    /// Number of the want, ascending in the order of creation.
    pub(super) sequence: u64,
    /// Rank among equally rare blocks; the lowest is requested first. It is low if this node's rendezvous score for the
    /// block is high.
    pub(super) rank: u64,
    /// The peers that said that they have the block.
    pub(super) havers: BTreeSet<P>,
    /// The havers that wanted the block themselves before.
    pub(super) spreaders: BTreeSet<P>,
    /// Time at which the first spreader became known.
    pub(super) spreading: Option<Duration>,
    /// The peers that want the block too.
    pub(super) wanters: BTreeSet<P>,
    /// The peers from which the block is requested, with the times of the requests.
    pub(super) asked: Vec<(P, Duration)>,
    /// Whether the block has arrived and is being stored.
    pub(super) is_storing: bool,
    /// The peer that sent the block. It needs no cancellation of the want.
    sender: Option<P>,
    /// The place of the want, and the peers of which the want is a candidate.
    pub(super) listed: Option<(Place, Vec<P>)>,
    /// Time of the last announcement.
    pub(super) announced: Duration,
    pub(super) wanted: Duration,
}

impl<P: Copy + Ord> Want<P> {
    /// Returns whether the block has not arrived yet.
    pub(super) fn is_open(&self) -> bool {
        !self.is_storing
    }

    /// Records that `peer` does not have this block. Returns whether the block was requested from it.
    pub(super) fn forget_haver(&mut self, peer: &P) -> bool {
        self.havers.remove(peer);
        self.spreaders.remove(peer);
        let before = self.asked.len();
        self.asked.retain(|(asked, _)| asked != peer);
        self.asked.len() < before
    }
}

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Wants a block. Blocks with a higher priority are requested first.
    ///
    /// A block may be wanted several times; each want has to be cancelled. The block is requested with the highest of
    /// their priorities.
    ///
    /// # Errors
    /// Returns an error if [`Config::max_wants`](super::Config::max_wants) blocks are wanted already.
    pub fn want(&mut self, now: Duration, cid: Cid, priority: i32) -> Result<(), TooManyWants> {
        if let Some(want) = self.wants.get_mut(cid.hash()) {
            want.users += 1;
            want.priority = want.priority.max(priority);
            self.relist(now, cid.hash());
            return Ok(());
        }
        if self.wants.len() >= self.config.max_wants {
            return Err(TooManyWants(self.config.max_wants));
        }
        if self.wants.is_empty() {
            self.begin(now);
        }
        let want = self.new_want(now, cid, priority);
        self.keys.insert(want.sequence, *cid.hash());
        self.wants.insert(*cid.hash(), want);
        for peer in self.peers.values_mut() {
            peer.outbox.want_have(cid);
        }
        Ok(())
    }

    /// Resets the measured intervals between blocks, because the intervals of an earlier fetch do not apply to a new one.
    fn begin(&mut self, now: Duration) {
        (self.begun, self.ticked) = (now, now);
        (self.arrivals, self.firsts) = Default::default();
        self.peers.values_mut().for_each(|peer| peer.firsts = Pace::default());
    }

    fn new_want(&mut self, now: Duration, cid: Cid, priority: i32) -> Want<P> {
        self.next_sequence += 1;
        let too = self.peers.iter().filter(|(_, peer)| peer.wants_block(cid.hash())).map(|(name, _)| *name);
        Want {
            cid,
            users: 1,
            priority,
            sequence: self.next_sequence,
            rank: u64::MAX - score(self.token, cid.hash()),
            havers: BTreeSet::new(),
            spreaders: BTreeSet::new(),
            spreading: None,
            wanters: too.collect(),
            asked: Vec::new(),
            is_storing: false,
            sender: None,
            listed: None,
            announced: now,
            wanted: now,
        }
    }

    /// Cancels one want of a block. When the last one is cancelled, the peers are told. Does nothing if the block is not
    /// wanted.
    pub fn cancel(&mut self, now: Duration, cid: &Cid) {
        let Some(want) = self.wants.get_mut(cid.hash()) else {
            return;
        };
        want.users -= 1;
        if want.users == 0 {
            self.abandon(now, cid);
        }
    }

    /// Ends all wants of a block, for example because it could not be stored.
    pub fn abandon(&mut self, now: Duration, cid: &Cid) {
        if self.end(now, cid.hash()).is_some() {
            self.fill_all(now);
        }
    }

    /// Removes a want, and queues its cancellation to the peers.
    pub(super) fn end(&mut self, now: Duration, key: &Key) -> Option<Want<P>> {
        self.unlist(key);
        let want = self.wants.remove(key)?;
        self.keys.remove(&want.sequence);
        self.release(now, &want.asked);
        for (_, peer) in self.peers.iter_mut().filter(|(name, _)| Some(**name) != want.sender) {
            peer.outbox.cancel(want.cid);
        }
        Some(want)
    }

    /// Frees the slots of peers that were asked for a block that is no longer needed.
    ///
    /// If they still send the block, it does not count as unrequested.
    fn release(&mut self, now: Duration, asked: &[(P, Duration)]) {
        for (peer, _) in asked {
            if let Some(state) = self.peers.get_mut(peer) {
                state.free_slot(now);
                state.allowance = state.allowance.saturating_add(self.block_bytes);
            }
        }
    }

    pub(super) fn block_arrived(&mut self, now: Duration, peer: P, block: Block) {
        let size = block.data.len() as u64;
        if let Some(state) = self.peers.get_mut(&peer) {
            state.heard = now;
        }
        if !self.wants.get(block.cid.hash()).is_some_and(Want::is_open) {
            return self.unwanted_arrived(peer, size);
        }
        self.unlist(block.cid.hash());
        let Some(want) = self.wants.get_mut(block.cid.hash()) else { return };
        want.is_storing = true;
        want.sender = Some(peer);
        let (cid, asked) = (want.cid, std::mem::take(&mut want.asked));
        let is_first = want.spreaders.is_empty() && !want.wanters.is_empty();
        self.statistics.blocks_received += 1;
        self.statistics.bytes_received += size;
        self.block_bytes = self.block_bytes.max(size);
        self.arrivals.step(now);
        if is_first {
            self.firsts.step(now);
        }
        self.sent_well(now, peer, cid, size, &asked);
        self.outputs.push_back(Output::Store { peer, cid, data: block.data });
    }

    /// Credits the sender of a block, and cancels the requests to other peers. The want is cancelled at the remaining
    /// peers later, when the block is stored.
    fn sent_well(&mut self, now: Duration, peer: P, cid: Cid, size: u64, asked: &[(P, Duration)]) {
        let others: Vec<_> = asked.iter().copied().filter(|(other, _)| *other != peer).collect();
        if let Some(state) = self.peers.get_mut(&peer) {
            state.failures = 0;
            state.aside_until = Duration::ZERO;
            state.received += size;
            if let Some((_, since)) = asked.iter().find(|(other, _)| *other == peer) {
                state.meter.answered(now.saturating_sub(*since));
                state.free_slot(now);
            }
        }
        self.release(now, &others);
        for (other, _) in others {
            if let Some(state) = self.peers.get_mut(&other) {
                state.outbox.cancel(cid);
            }
        }
    }

    fn unwanted_arrived(&mut self, peer: P, size: u64) {
        self.statistics.unwanted_blocks += 1;
        self.statistics.unwanted_bytes += size;
        let Some(state) = self.peers.get_mut(&peer) else { return };
        let forgiven = state.allowance.min(size);
        state.allowance -= forgiven;
        state.unwanted += size - forgiven;
        if state.unwanted > self.config.max_unwanted_bytes + state.received / 8 {
            self.leave_aside(peer, "it sends blocks that were not requested");
        }
    }

    pub(super) fn presence_arrived(&mut self, now: Duration, peer: P, key: &Key, have: bool) {
        let Some(want) = self.wants.get_mut(key).filter(|want| want.is_open()) else {
            return;
        };
        if have {
            let is_first = want.spreaders.is_empty() && want.wanters.contains(&peer);
            if want.wanters.contains(&peer) {
                want.spreaders.insert(peer);
                want.spreading.get_or_insert(now);
            }
            want.havers.insert(peer);
            if let Some(state) = self.peers.get_mut(&peer).filter(|_| is_first) {
                state.firsts.step(now);
            }
        } else if want.forget_haver(&peer)
            && let Some(state) = self.peers.get_mut(&peer)
        {
            state.free_slot(now);
        }
        self.is_busy = true;
        self.relist(now, key);
    }
}
