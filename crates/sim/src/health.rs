//! The health of nodes: faults come and go, and the nodes read what others state. The decider is that of the daemon; the
//! measurements are modelled.

use crate::node::NodeId;
use crate::world::World;
use dcache::PeerId;
use dcache::buckets::HEALTH;
use diagnostics::health::rules::by_code;
use diagnostics::health::{Level, Report};
use diagnostics::{ReportState, RobotHealth};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Time, in addition to the lifetime of a health, for which it may be shown after its robot fell silent. It covers the
/// seconds that times of records are rounded to.
const ROUNDING: Duration = Duration::from_secs(3);
/// Code of the rule that the faults of the model break.
const RULE: &str = "temperature.high";

/// The health of all nodes, and results of the checks of what others see.
#[derive(Debug, Default)]
pub(crate) struct HealthChecks {
    /// Number of tables that were read.
    pub(crate) read: usize,
    /// Number of times that the level of a node changed.
    pub(crate) changes: usize,
    /// Longest time for which a running node was seen with another level than its own, or not at all.
    pub(crate) wrong: Duration,
    /// Number of rows of nodes that did not run, and that were shown as STALE.
    pub(crate) stale: usize,
    /// Level of each node that ever had a fault, and the time since when it has it.
    levels: BTreeMap<NodeId, (Level, Duration)>,
    /// Time of the first start of each node.
    first: BTreeMap<NodeId, Duration>,
}

impl HealthChecks {
    /// Notes that a node starts.
    pub(crate) fn started(&mut self, node: NodeId, now: Duration) {
        self.first.entry(node).or_insert(now);
    }

    /// Returns the level of a node, and the time since when it has it.
    fn level(&self, node: NodeId) -> (Level, Duration) {
        self.levels.get(&node).copied().unwrap_or_default()
    }
}

/// Returns the report of a node with this level.
fn report(level: Level) -> Report {
    let finding = by_code(RULE).filter(|_| level != Level::Ok).map(|rule| rule.finding(level, "cpu", 95.0));
    Report { level, findings: finding.into_iter().collect() }
}

impl World {
    /// Returns what a node measures.
    pub(crate) fn measured_health(&self, node: NodeId) -> Report {
        report(self.health.level(node).0)
    }

    /// Changes the level of a node, which measures it at once if it runs.
    pub(crate) fn set_level(&mut self, node: NodeId, level: Level) {
        if self.health.level(node).0 == level {
            return;
        }
        self.health.changes += 1;
        self.health.levels.insert(node, (level, self.now));
        if let Some(services) = &mut self.nodes[node].services {
            services.health.set_health(&report(level));
            self.plan_decision(node, self.now);
        }
    }

    /// Reads the health of all nodes in the sets of some of them.
    pub(crate) fn check_health(&mut self) {
        let Some(scenario) = self.scenario.health.clone() else { return };
        let ids: BTreeMap<PeerId, NodeId> = self.honest().map(|(id, node)| (node.me, id)).collect();
        let step = (ids.len() / scenario.readers.max(1)).max(1);
        for reader in ids.values().copied().step_by(step).collect::<Vec<_>>() {
            let time = self.nodes[reader].now(self.now).moment.time;
            let Some(set) = self.nodes[reader].set() else { continue };
            let rows: BTreeMap<NodeId, RobotHealth> = diagnostics::fleet(set, time)
                .into_iter()
                .filter_map(|row| Some((*ids.get(&row.peer)?, row)))
                .collect();
            self.health.read += 1;
            self.check_rows(reader, &rows, scenario.within.0, &ids.values().copied().collect());
        }
    }

    /// Checks that the rows of a reader are true for all nodes whose state is older than `within`.
    fn check_rows(
        &mut self,
        reader: NodeId,
        rows: &BTreeMap<NodeId, RobotHealth>,
        within: Duration,
        nodes: &BTreeSet<NodeId>,
    ) {
        let Some((true, reading_since)) = self.tables.since(reader) else { return };
        let off = self.scenario.clocks.as_ref().map_or(Duration::ZERO, |clocks| clocks.off.0);
        let silent_after = Duration::from_secs(HEALTH.lifetime()) + ROUNDING + off * 3;
        for node in nodes.iter().filter(|node| !self.tables.is_leaving(**node)).copied().collect::<Vec<_>>() {
            let Some((is_running, since)) = self.tables.since(node) else { continue };
            let ((level, changed), row) = (self.health.level(node), rows.get(&node));
            let first = self.health.first.get(&node).copied().unwrap_or_default();
            let is_stated = |row: &RobotHealth| row.state == ReportState::Stated;
            // The time for which the row was wrong, and the time after which it must be right.
            let (wrong, most) = match row {
                Some(row) if is_running && is_stated(row) && row.level == level => continue,
                Some(row) if !is_running && !is_stated(row) => {
                    self.health.stale += usize::from(row.level == Level::Stale);
                    continue;
                }
                Some(_) if !is_running => (self.now - since.max(reading_since), silent_after.max(within)),
                None if !is_running => (self.now - first.max(reading_since), within),
                _ => (self.now - since.max(changed).max(reading_since), within),
            };
            if is_running {
                self.health.wrong = self.health.wrong.max(wrong);
            }
            if wrong > most {
                let seen = row.map(|row| (row.level, row.state));
                self.fail(format!(
                    "node {reader} sees node {node} as {seen:?} for {wrong:?}, which runs: {is_running}, with level {level}"
                ));
            }
        }
    }
}
