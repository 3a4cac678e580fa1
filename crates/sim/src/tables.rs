//! Checks the tables of robots: the nodes whose table is read, the nodes that it shows as present, and those that run.

use crate::node::NodeId;
use crate::world::World;
use dcache::{PeerId, buckets};
use discovery::protocol::{Place, Robot};
use discovery::{Sighting, Surroundings};
use routing::Reach;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Time, in addition to the lifetime of a presence, for which a node may be shown as present after it stopped. It covers
/// the seconds that times of records are rounded to.
const ROUNDING: Duration = Duration::from_secs(3);

/// Results of all checks of tables so far.
#[derive(Debug, Default)]
pub(crate) struct TableChecks {
    /// Number of tables that were read.
    pub(crate) read: usize,
    /// Longest time for which a running node was not shown as present.
    pub(crate) missing: Duration,
    /// Longest time after its end for which a node was shown as present.
    pub(crate) shown_after_end: Duration,
    /// Longest time after its end, or after the start of the reader, for which a node was shown as present although it
    /// was shut down cleanly.
    pub(crate) shown_after_farewell: Duration,
    /// Number of times that a node started.
    pub(crate) starts: usize,
    /// Number of times that a node was shut down cleanly.
    pub(crate) farewells: usize,
    /// Number of times that a node was killed.
    pub(crate) kills: usize,
    /// Number of times that a node came to another network.
    pub(crate) moves: usize,
    /// For each running node, the time of its start.
    running: BTreeMap<NodeId, Duration>,
    /// For each other node that has run, the time of its end.
    ended: BTreeMap<NodeId, Duration>,
    /// The nodes that withdrew their presence since their last start.
    said_farewell: BTreeSet<NodeId>,
    /// Pairs of a node with a table, and a running node that it lacks, with the time since when.
    lacks: BTreeMap<(NodeId, NodeId), Duration>,
}

impl TableChecks {
    /// Returns whether a node runs, and the time since when; `None` if it has never run.
    pub(crate) fn since(&self, node: NodeId) -> Option<(bool, Duration)> {
        let running = self.running.get(&node).map(|since| (true, *since));
        running.or_else(|| self.ended.get(&node).map(|since| (false, *since)))
    }

    /// Returns whether a node is being shut down cleanly, and still runs.
    pub(crate) fn is_leaving(&self, node: NodeId) -> bool {
        self.running.contains_key(&node) && self.said_farewell.contains(&node)
    }

    /// Notes that a node starts.
    pub(crate) fn started(&mut self, node: NodeId, now: Duration) {
        self.ended.remove(&node);
        self.said_farewell.remove(&node);
        self.starts += 1;
        self.running.insert(node, now);
    }

    /// Notes that a node is shut down cleanly and withdraws its presence.
    pub(crate) fn says_farewell(&mut self, node: NodeId) {
        self.said_farewell.insert(node);
    }

    /// Notes that a node comes to another network.
    pub(crate) fn moved(&mut self) {
        self.moves += 1;
    }

    /// Notes that a node ends.
    pub(crate) fn stopped(&mut self, node: NodeId, now: Duration) {
        match self.said_farewell.contains(&node) {
            true => self.farewells += 1,
            false => self.kills += 1,
        }
        self.running.remove(&node);
        self.ended.insert(node, now);
    }

    /// Notes which nodes the table of `reader` shows as present. The table was read before at `before`. Returns the node
    /// that is shown as present for the longest time after its end.
    fn note(&mut self, reader: NodeId, present: &BTreeSet<NodeId>, before: Duration, now: Duration) -> Stale {
        self.read += 1;
        let own_start = self.running.get(&reader).copied().unwrap_or_default();
        for (node, start) in self.running.iter().filter(|(node, _)| **node != reader) {
            if present.contains(node) {
                self.lacks.remove(&(reader, *node));
                continue;
            }
            // The node may have been lacking since any time after the last check.
            let since = self.lacks.entry((reader, *node)).or_insert(before);
            *since = (*since).max(*start).max(own_start);
            self.missing = self.missing.max(now - *since);
        }
        let ended = present.iter().filter_map(|node| Some((now - *self.ended.get(node)?, *node)));
        // A reader that was off itself can hear a farewell only after its start.
        let after_farewell = ended.clone().filter(|(_, node)| self.said_farewell.contains(node)).max();
        let after_farewell = after_farewell.map_or(Duration::ZERO, |(time, _)| time.min(now - own_start));
        self.shown_after_farewell = self.shown_after_farewell.max(after_farewell);
        let stale = ended.max();
        self.shown_after_end = self.shown_after_end.max(stale.map_or(Duration::ZERO, |(time, _)| time));
        stale
    }
}

/// A node that is shown as present although it ended, with the time since its end.
type Stale = Option<(Duration, NodeId)>;

impl World {
    /// Reads the tables of some running nodes, evenly distributed over all nodes.
    pub(crate) fn check_tables(&mut self) {
        let Some(tables) = self.scenario.presence.as_ref().and_then(|presence| presence.tables.clone())
        else {
            return;
        };
        let ids: BTreeMap<PeerId, NodeId> = self.honest().map(|(id, node)| (node.me, id)).collect();
        let step = (ids.len() / tables.readers.max(1)).max(1);
        let off = self.scenario.clocks.as_ref().map_or(Duration::ZERO, |clocks| clocks.off.0);
        let most = Duration::from_secs(buckets::PEER.lifetime()) + ROUNDING + off * 3;
        let before = self.now.saturating_sub(tables.every.0);
        for reader in ids.values().copied().step_by(step).collect::<Vec<_>>() {
            let Some(rows) = self.table_of(reader) else { continue };
            let is_present = |row: &&Robot| row.place != Place::Away;
            let present = rows.iter().filter(is_present).filter_map(|row| ids.get(&row.peer?)).copied();
            let stale = self.tables.note(reader, &present.collect(), before, self.now);
            if let Some((time, node)) = stale.filter(|(time, _)| *time > most) {
                self.fail(format!("node {reader} shows node {node} as present {time:?} after its end"));
            }
        }
    }

    /// Returns the table of a node; `None` if it does not run.
    fn table_of(&mut self, reader: NodeId) -> Option<Vec<Robot>> {
        let now = self.nodes[reader].now(self.now);
        let of = &self.nodes[reader];
        let brain = of.brain()?;
        let sighting = |seen: brain::Sighting| Sighting {
            peer: seen.peer,
            channel: seen.channel,
            is_on_network: seen.reach == Reach::Lan,
            address: seen.address,
            age: seen.age,
        };
        let sightings = brain.sightings(now).into_iter().map(sighting).collect();
        let around = Surroundings { me: of.me, is_copied: false, sightings, foreign: Vec::new() };
        Some(discovery::rows(brain.set(), now.moment.time, &around))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_node_is_missing_since_the_last_check_or_its_start() {
        let mut checks = TableChecks::default();
        checks.started(0, SECOND);
        checks.started(1, SECOND * 5);
        assert_eq!(checks.note(0, &[].into(), Duration::ZERO, SECOND * 8), None);
        assert_eq!(checks.missing, SECOND * 3);
        checks.note(0, &[1].into(), SECOND * 8, SECOND * 18);
        checks.note(0, &[].into(), SECOND * 18, SECOND * 28);
        assert_eq!(checks.missing, SECOND * 10, "it may have been missing since the last check");
        checks.note(0, &[].into(), SECOND * 28, SECOND * 38);
        assert_eq!(checks.missing, SECOND * 20);
        checks.stopped(1, SECOND * 40);
        checks.note(0, &[].into(), SECOND * 38, SECOND * 90);
        assert_eq!(checks.missing, SECOND * 20, "a node that does not run is not missing");
    }

    #[test]
    fn a_node_that_ended_is_shown_for_the_time_since_its_end() {
        let mut checks = TableChecks::default();
        checks.started(0, SECOND);
        checks.started(1, SECOND);
        checks.stopped(1, SECOND * 10);
        assert_eq!(checks.note(0, &[1].into(), Duration::ZERO, SECOND * 70), Some((SECOND * 60, 1)));
        assert_eq!((checks.shown_after_end, checks.shown_after_farewell), (SECOND * 60, Duration::ZERO));
        checks.started(1, SECOND * 80);
        assert_eq!(checks.note(0, &[1].into(), SECOND * 70, SECOND * 90), None);
        checks.says_farewell(1);
        checks.stopped(1, SECOND * 100);
        checks.started(0, SECOND * 150);
        assert_eq!(checks.note(0, &[1].into(), SECOND * 90, SECOND * 152), Some((SECOND * 52, 1)));
        assert_eq!(checks.shown_after_farewell, SECOND * 2, "the reader was off until then");
    }
}
