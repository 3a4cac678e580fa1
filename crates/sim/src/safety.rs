//! Measures the time until a shared file is safe everywhere: each honest node sees all honest nodes, or as many as there
//! should be copies, as its holders.

use crate::node::NodeId;
use crate::world::World;
use dcache::{Item, buckets};
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The files that were shared, and their progress.
#[derive(Debug, Default)]
pub(crate) struct Safety {
    /// Files that are not safe everywhere yet: the time of sharing, and the nodes that see all nodes as holders.
    pending: BTreeMap<Cid, (Duration, BTreeSet<NodeId>)>,
    /// For each other file, the time from sharing until it was safe everywhere.
    pub(crate) times: Vec<Duration>,
}

impl Safety {
    /// Notes that a file was shared.
    pub(crate) fn shared(&mut self, cid: Cid, now: Duration) {
        self.pending.insert(cid, (now, BTreeSet::new()));
    }

    /// Returns the number of files that are not safe everywhere.
    pub(crate) fn unsafe_files(&self) -> usize {
        self.pending.len()
    }
}

impl World {
    /// Notes the files for which a node, by its own clock, sees all nodes as holders.
    pub(crate) fn note_safe(&mut self, node: NodeId) {
        if self.safety.pending.is_empty() || !self.nodes[node].is_honest {
            return;
        }
        let all = self.honest().count();
        let copies = self.scenario.files.as_ref().and_then(|files| files.copies.as_ref());
        let wanted = copies.map_or(all, |copies| copies.wanted);
        let time = self.nodes[node].now(self.now).moment.time;
        let Some(set) = self.nodes[node].set() else { return };
        let is_safe = |cid: &Cid| {
            let Ok(data) = dcache::Data::new(&cid.to_string()) else { return false };
            let item = Item { bucket: buckets::SHARE_SAFE.path(), data };
            set.item(&item, time).is_some_and(|view| view.proposals.len() >= wanted)
        };
        let safe: Vec<Cid> = self.safety.pending.keys().filter(|cid| is_safe(cid)).copied().collect();
        for cid in safe {
            let Some((since, seen)) = self.safety.pending.get_mut(&cid) else { continue };
            seen.insert(node);
            if seen.len() == all {
                self.safety.times.push(self.now - *since);
                self.safety.pending.remove(&cid);
            }
        }
    }
}
