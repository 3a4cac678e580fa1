//! The copies of shared files on all disks: checks that none is let go of too early, and measures the time until
//! missing copies are replaced.

use crate::action::Action;
use crate::event::Event;
use crate::node::NodeId;
use crate::scenario::{Killed, LOOK_EVERY};
use crate::world::World;
use ipfs::Cid;
use logs::{Pressure, ReleaseReason};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Size of each simulated file, in bytes.
pub(crate) const FILE_BYTES: u64 = 1 << 20;
/// Room of a node whose disk is not full, in bytes.
const ROOM: u64 = 1 << 40;

/// Figures about the copies of all files.
#[derive(Debug, Default)]
pub(crate) struct CopyChecks {
    /// Number of files that nodes fetched.
    pub(crate) fetched: usize,
    /// Number of copies that nodes let go of.
    pub(crate) released: usize,
    /// Since when each file lacks copies on running nodes: one time for each missing copy, the earliest first.
    lacking: BTreeMap<Cid, VecDeque<Duration>>,
    /// Longest time for which a copy was missing while no network was split.
    pub(crate) longest: Duration,
    /// Fewest disks that had a file after a copy was let go of.
    pub(crate) fewest: Option<usize>,
}

/// A disk that is full.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FullDisk {
    until: Duration,
    /// Number of files that the node should let go of.
    files: usize,
    /// Whether copies may go of which other nodes have too few.
    is_urgent: bool,
}

impl World {
    /// Makes the disk of a node full for a while.
    pub(crate) fn fill_disk(&mut self, node: NodeId, lasting: Duration, files: usize, is_urgent: bool) {
        self.nodes[node].full = Some(FullDisk { until: self.now + lasting, files, is_urgent });
        self.plan_decision(node, self.now);
    }

    fn full(&self, node: NodeId) -> Option<FullDisk> {
        self.nodes[node].full.filter(|full| full.until > self.now)
    }

    /// Returns the room on the disk of a node, and the space that it lacks.
    pub(crate) fn space(&self, node: NodeId) -> (u64, Pressure) {
        match self.full(node) {
            None => (ROOM, Pressure::default()),
            Some(full) => {
                let bytes = full.files as u64 * FILE_BYTES;
                (0, Pressure { bytes, is_urgent: full.is_urgent })
            }
        }
    }

    /// Returns the nodes whose disks have a file, whether they run or not.
    fn disks_with(&self, cid: &Cid) -> BTreeSet<NodeId> {
        let with = self.nodes.iter().enumerate().filter(|(_, node)| node.files.has(cid));
        with.map(|(node, _)| node).collect()
    }

    /// Lets go of a copy, and checks that enough disks still have the file.
    pub(crate) fn release(&mut self, node: NodeId, cid: Cid, reason: ReleaseReason) {
        self.nodes[node].files.lose(&cid);
        let wanted =
            self.scenario.files.as_ref().and_then(|files| files.copies.as_ref()).map_or(1, |c| c.wanted);
        let is_urgent = self.full(node).is_some_and(|full| full.is_urgent);
        let least = match reason {
            ReleaseReason::Space if is_urgent => 1,
            ReleaseReason::Space => wanted.saturating_sub(1).max(1),
            ReleaseReason::Surplus => wanted,
        };
        let left = self.disks_with(&cid).len();
        if left < least {
            self.fail(format!(
                "node {node} let go of {cid} ({reason:?}), and only {left} disks still have it"
            ));
        }
        if let Some(full) = self.nodes[node].full.as_mut().filter(|_| reason == ReleaseReason::Space) {
            full.files = full.files.saturating_sub(1);
        }
        self.copies.released += 1;
        self.copies.fewest = Some(self.copies.fewest.map_or(left, |fewest| fewest.min(left)));
    }

    /// Kills running nodes that keep the same file.
    pub(crate) fn kill_holders(&mut self, Killed { holders, off, .. }: Killed, number: usize) {
        let shared = self.shared_files();
        let Some(cid) = shared.iter().nth(number % shared.len().max(1)).copied() else { return };
        let running = |node: &NodeId| self.nodes[*node].brain().is_some();
        let killed: Vec<NodeId> = self.disks_with(&cid).into_iter().filter(running).take(holders).collect();
        for node in killed {
            self.act(Action::Crash { node, off: off.0 });
        }
    }

    fn shared_files(&self) -> BTreeSet<Cid> {
        self.nodes.iter().flat_map(|node| node.files.own().copied()).collect()
    }

    /// Measures for how long copies are missing. When a copy is back or replaced, it stands for the one that was missing
    /// for the longest time.
    pub(crate) fn check_copies(&mut self) {
        let files = self.scenario.files.clone();
        let Some(copies) = files.as_ref().and_then(|files| files.copies.as_ref()) else { return };
        if !self.is_calm {
            self.queue.push(self.now + LOOK_EVERY, Event::Act(Box::new(Action::CheckCopies)));
        }
        let is_split = self.networks.iter().any(|network| !network.parts.is_empty());
        for cid in self.shared_files() {
            let runs = |node: &NodeId| self.nodes[*node].brain().is_some();
            let holders: BTreeSet<NodeId> = self.disks_with(&cid).into_iter().filter(runs).collect();
            let could = (0..self.nodes.len()).filter(|node| {
                holders.contains(node)
                    || runs(node) && self.nodes[*node].is_honest && self.full(*node).is_none()
            });
            let wanted = copies.wanted.min(could.count());
            if is_split || holders.is_empty() || holders.len() >= wanted {
                self.copies.lacking.remove(&cid);
                continue;
            }
            let (missing, now) = (wanted - holders.len(), self.now);
            let times = self.copies.lacking.entry(cid).or_default();
            times.drain(..times.len().saturating_sub(missing));
            times.resize(missing, now);
            let lacked = now - times.front().copied().unwrap_or(now);
            self.copies.longest = self.copies.longest.max(lacked);
            if copies.healed_within.is_some_and(|within| lacked > within.0) {
                self.fail(format!("{} of {wanted} copies of {cid} for {lacked:?}", holders.len()));
                self.copies.lacking.remove(&cid);
            }
        }
    }

    /// Checks the number of fetches at the end of a run.
    pub(crate) fn check_fetches(&mut self) {
        let files = self.scenario.files.clone();
        let Some(files) = files else { return };
        let Some(copies) = files.copies else { return };
        let first = files.count * copies.wanted.saturating_sub(1);
        if copies.extra_fetches.is_some_and(|extra| self.copies.fetched > first + extra) {
            let fetched = self.copies.fetched;
            self.fail(format!("{fetched} files were fetched, but the first copies are {first}"));
        }
    }
}
