//! The time after which each node lists all others: it holds a presence record of each.

use crate::node::NodeId;
use crate::world::World;
use dcache::{PeerId, Record, buckets};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The presence records that each node has seen so far.
#[derive(Debug, Default)]
pub(crate) struct Meetings {
    /// Start of the node that started last.
    last_start: Duration,
    seen: BTreeMap<NodeId, BTreeSet<PeerId>>,
    /// Time at which a node saw the last of all presence records.
    complete: BTreeMap<NodeId, Duration>,
}

impl Meetings {
    /// Notes that a node starts.
    pub(crate) fn started(&mut self, now: Duration) {
        self.last_start = self.last_start.max(now);
    }

    /// Returns the time from the start of the last node until this node listed all others; `None` if it does not.
    pub(crate) fn since_last_start(&self, node: NodeId) -> Option<Duration> {
        self.complete.get(&node).map(|at| at.saturating_sub(self.last_start))
    }
}

impl World {
    /// Notes that a record came into a node's set, if the scenario asks when nodes list each other.
    pub(crate) fn note_meeting(&mut self, node: NodeId, record: &Record) {
        let is_timed = self.scenario.presence.as_ref().is_some_and(|presence| presence.is_timed);
        if !is_timed || record.item().bucket != buckets::PEER.path() {
            return;
        }
        let nodes = self.honest().count();
        let Meetings { seen, complete, .. } = &mut self.meetings;
        let seen = seen.entry(node).or_default();
        seen.insert(record.signer());
        if seen.len() == nodes {
            complete.entry(node).or_insert(self.now);
        }
    }
}
