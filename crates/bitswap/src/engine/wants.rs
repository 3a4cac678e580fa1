//! What is wanted here, and of whom it is asked.
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::time::Duration;

use cid::Cid;
use rand::RngExt;

use super::{Engine, Key, Output, TooManyWants};
use crate::message::Block;

/// How far a wanted block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress<P> {
    /// Asked of nobody.
    Open,
    /// Asked of one peer at that time.
    Asked { peer: P, since: Duration },
    /// Here, and being stored.
    Storing,
}

#[derive(Debug)]
pub(super) struct Want<P> {
    pub(super) cid: Cid,
    /// How many times it is wanted: each fetch counts once.
    users: usize,
    /// The peers that say to have it.
    havers: BTreeSet<P>,
    progress: Progress<P>,
    announced: Duration,
}

impl<P: Copy + Ord> Want<P> {
    fn new(now: Duration, cid: Cid) -> Self {
        Self { cid, users: 1, havers: BTreeSet::new(), progress: Progress::Open, announced: now }
    }

    /// True while peers are to know that it is wanted.
    pub(super) fn is_open(&self) -> bool {
        self.progress != Progress::Storing
    }

    /// Treats `peer` as if it had never said anything about this block.
    pub(super) fn forget(&mut self, peer: &P) {
        self.havers.remove(peer);
        if self.asked() == Some(*peer) {
            self.progress = Progress::Open;
        }
    }

    fn asked(&self) -> Option<P> {
        match self.progress {
            Progress::Asked { peer, .. } => Some(peer),
            Progress::Open | Progress::Storing => None,
        }
    }
}

impl<P: Copy + Ord + Debug> Engine<P> {
    /// Wants a block. It may be wanted several times, and then has to be cancelled as often.
    ///
    /// # Errors
    /// When too many are wanted already.
    pub fn want(&mut self, now: Duration, cid: Cid) -> Result<(), TooManyWants> {
        if let Some(want) = self.wants.get_mut(cid.hash()) {
            want.users += 1;
            return Ok(());
        }
        if self.wants.len() >= self.config.max_wants {
            return Err(TooManyWants(self.config.max_wants));
        }
        self.wants.insert(*cid.hash(), Want::new(now, cid));
        for peer in self.peers.values_mut() {
            peer.outbox.want_have(cid);
        }
        Ok(())
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
        if let Some(want) = self.wants.remove(cid.hash()) {
            self.withdraw(&want, None);
            self.fill_all(now);
        }
    }

    /// Tells the peers that a block is not wanted any more, except the one that just sent it and thus knows.
    pub(super) fn withdraw(&mut self, want: &Want<P>, sender: Option<P>) {
        if !want.is_open() {
            return;
        }
        if let Some(peer) = want.asked() {
            self.free_slot(peer);
        }
        for (_, peer) in self.peers.iter_mut().filter(|(name, _)| Some(**name) != sender) {
            peer.outbox.cancel(want.cid);
        }
    }

    fn free_slot(&mut self, peer: P) {
        if let Some(state) = self.peers.get_mut(&peer) {
            state.in_flight = state.in_flight.saturating_sub(1);
        }
    }

    pub(super) fn block_arrived(&mut self, now: Duration, peer: P, block: Block) {
        let size = block.data.len() as u64;
        if !self.wants.get(block.cid.hash()).is_some_and(Want::is_open) {
            self.statistics.unwanted_blocks += 1;
            self.statistics.unwanted_bytes += size;
            return;
        }
        let Some(want) = self.wants.remove(block.cid.hash()) else {
            return;
        };
        self.statistics.blocks_received += 1;
        self.statistics.bytes_received += size;
        if let Some(state) = self.peers.get_mut(&peer) {
            state.last_block = now;
            state.failures = 0;
        }
        self.withdraw(&want, Some(peer));
        self.outputs.push_back(Output::Store { peer, cid: want.cid, data: block.data });
        let stored = Want { progress: Progress::Storing, ..want };
        self.wants.insert(*stored.cid.hash(), stored);
    }

    pub(super) fn presence_arrived(&mut self, peer: P, key: &Key, have: bool) {
        let Some(want) = self.wants.get_mut(key).filter(|want| want.is_open()) else {
            return;
        };
        if have {
            want.havers.insert(peer);
            return;
        }
        let was_asked = want.asked() == Some(peer);
        want.forget(&peer);
        if was_asked {
            self.free_slot(peer);
        }
    }

    /// Asks every peer that has a free slot for something that it has.
    pub(super) fn fill_all(&mut self, now: Duration) {
        let free: Vec<P> =
            self.peers.iter().filter(|(_, p)| p.in_flight < self.config.slots).map(|(n, _)| *n).collect();
        for peer in free {
            self.fill(now, peer);
        }
    }

    fn fill(&mut self, now: Duration, peer: P) {
        while let Some(key) = self.choose(peer) {
            let (Some(want), Some(state)) = (self.wants.get_mut(&key), self.peers.get_mut(&peer)) else {
                return;
            };
            want.progress = Progress::Asked { peer, since: now };
            state.in_flight += 1;
            state.outbox.want_block(want.cid);
        }
    }

    /// The rarest block that `peer` has and nobody is asked for, at random between equals: so peers that fetch the
    /// same file get different blocks from its only source, and give them to each other.
    fn choose(&mut self, peer: P) -> Option<Key> {
        let state = self.peers.get(&peer).filter(|state| state.in_flight < self.config.slots)?;
        let failures = state.failures;
        let (mut rarest, mut equals, mut choice) = (usize::MAX, 0u32, None);
        for (key, want) in &self.wants {
            if want.progress != Progress::Open
                || !want.havers.contains(&peer)
                || self.has_better(want, failures)
            {
                continue;
            }
            if want.havers.len() < rarest {
                (rarest, equals) = (want.havers.len(), 0);
            }
            if want.havers.len() == rarest {
                equals += 1;
                // Reservoir sampling: each of n equals is the choice with probability 1/n.
                if self.random.random_range(0..equals) == 0 {
                    choice = Some(*key);
                }
            }
        }
        choice
    }

    /// True when someone who failed less often has the block.
    fn has_better(&self, want: &Want<P>, failures: u32) -> bool {
        failures > 0
            && want
                .havers
                .iter()
                .filter_map(|name| self.peers.get(name))
                .any(|other| other.failures < failures)
    }

    /// When a want is due to be asked of another, or to be announced again.
    pub(super) fn deadline(&self, want: &Want<P>) -> Option<Duration> {
        match want.progress {
            Progress::Asked { peer, since } => {
                let last_block = self.peers.get(&peer).map_or(Duration::ZERO, |state| state.last_block);
                Some(since.max(last_block) + self.config.block_timeout)
            }
            Progress::Open if want.havers.is_empty() => Some(want.announced + self.config.announce_interval),
            Progress::Open | Progress::Storing => None,
        }
    }

    pub(super) fn time_out(&mut self, now: Duration) {
        let late =
            |want: &&Want<P>| want.asked().is_some() && self.deadline(want).is_some_and(|due| due <= now);
        let due: Vec<Key> = self.wants.values().filter(late).map(|want| *want.cid.hash()).collect();
        let mut failed = BTreeSet::new();
        for key in due {
            let Some(want) = self.wants.get_mut(&key) else {
                continue;
            };
            let (Some(peer), cid) = (want.asked(), want.cid) else {
                continue;
            };
            want.progress = Progress::Open;
            failed.insert(peer);
            self.free_slot(peer);
            if let Some(state) = self.peers.get_mut(&peer) {
                // Replaces the want for the block by one for its presence: the peer may still be of use later.
                state.outbox.want_have(cid);
            }
        }
        for peer in failed {
            self.statistics.timeouts += 1;
            if let Some(state) = self.peers.get_mut(&peer) {
                state.failures = state.failures.saturating_add(1);
            }
        }
    }

    /// Messages get lost in ways that neither side sees; saying it again now and then heals that.
    pub(super) fn announce_again(&mut self, now: Duration) {
        let interval = self.config.announce_interval;
        let quiet = |want: &&mut Want<P>| {
            want.progress == Progress::Open && want.havers.is_empty() && want.announced + interval <= now
        };
        for want in self.wants.values_mut().filter(quiet) {
            want.announced = now;
            for peer in self.peers.values_mut() {
                peer.outbox.want_have(want.cid);
            }
        }
    }
}
