//! What is wanted here, and what becomes of it.
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use cid::Cid;

use super::pace::Pace;
use super::rendezvous::score;
use super::{Engine, Key, Output, TooManyWants};
use crate::message::Block;

/// Where a want stands among those that one peer may be asked for: by priority, by group, then the rarest, then what most
/// peers want, then by rank; the last number names the want.
pub(super) type Place = (Reverse<i32>, Group, usize, Reverse<usize>, u64, u64);

/// What is asked for first, and what only when there is nothing of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// What only sources have, and this node is to fetch.
    Own,
    /// What another is to fetch, who is late.
    TakenOver,
    /// What others give already.
    Spreading,
}

#[derive(Debug)]
pub(super) struct Want<P> {
    pub(super) cid: Cid,
    /// How many times it is wanted: each fetch counts once.
    users: usize,
    pub(super) priority: i32,
    /// Its number: the later wanted, the higher.
    pub(super) sequence: u64,
    /// Decides between blocks that are equally rare: 0 is what nobody comes before this node for in rendezvous hashing.
    pub(super) rank: u64,
    /// The peers that say to have it.
    pub(super) havers: BTreeSet<P>,
    /// Those of them that wanted it themselves before: it is spreading.
    pub(super) spreaders: BTreeSet<P>,
    /// Since when there are any of those.
    pub(super) spreading: Option<Duration>,
    /// The peers that want it too.
    pub(super) wanters: BTreeSet<P>,
    /// The peers that are asked for it, with the time.
    pub(super) asked: Vec<(P, Duration)>,
    /// It is here, and being stored.
    pub(super) is_storing: bool,
    /// Who sent it; that peer knows that it is not wanted any more.
    sender: Option<P>,
    /// Where it is listed, and in which peers' candidates.
    pub(super) listed: Option<(Place, Vec<P>)>,
    pub(super) announced: Duration,
    pub(super) wanted: Duration,
}

impl<P: Copy + Ord> Want<P> {
    /// True while peers are to know that it is wanted.
    pub(super) fn is_open(&self) -> bool {
        !self.is_storing
    }

    /// Treats `peer` as if it did not have this block; true when it was asked for it.
    pub(super) fn forget_haver(&mut self, peer: &P) -> bool {
        self.havers.remove(peer);
        self.spreaders.remove(peer);
        let before = self.asked.len();
        self.asked.retain(|(asked, _)| asked != peer);
        self.asked.len() < before
    }
}

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Wants a block; what has a higher priority is asked for first. It may be wanted several times, and then has to be
    /// cancelled as often; the highest priority counts.
    ///
    /// # Errors
    /// When too many are wanted already.
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

    /// What was measured of how often blocks came says nothing about what is wanted from now on.
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

    /// Ends one want of a block; the last one ends it for the peers too. Nothing happens when it is not wanted.
    pub fn cancel(&mut self, now: Duration, cid: &Cid) {
        let Some(want) = self.wants.get_mut(cid.hash()) else {
            return;
        };
        want.users -= 1;
        if want.users == 0 {
            self.abandon(now, cid);
        }
    }

    /// Ends all wants of a block, because it came and could not be stored.
    pub fn abandon(&mut self, now: Duration, cid: &Cid) {
        if self.end(now, cid.hash()).is_some() {
            self.fill_all(now);
        }
    }

    /// Forgets a want and tells the peers.
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

    /// Frees the slots of those that were asked. What they send all the same was asked for, so it is not held against
    /// them.
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

    /// Credits the sender, and tells whoever else was asked not to send. All others hear of it when the block is stored,
    /// together with the news that it is here.
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
            self.leave_aside(peer, "it sends blocks that nobody asked for");
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
