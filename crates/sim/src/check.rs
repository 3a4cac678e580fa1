//! Checks at the end of a run: all honest nodes hold the same records, and each of these was really signed.

use crate::node::NodeId;
use crate::world::World;
use dcache::{End, Fingerprint, Record, RecordId, Set};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Records that end within this number of seconds are not compared, because each node removes them by its own clock.
const MARGIN: u64 = 120;
/// Interval between two comparisons of all nodes.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Maximum number of differing records that a message names.
const MOST_NAMED: usize = 4;

impl World {
    /// Returns the bound of the comparison: records that end up to it may differ between nodes. It lies [`MARGIN`]
    /// after the time of the clock that is furthest ahead.
    fn bound(&mut self) -> End {
        let now = self.now;
        let honest = self.nodes.iter_mut().filter(|node| node.is_honest);
        let latest = honest.map(|node| node.now(now).moment.time).max().unwrap_or_default();
        End::at(latest.plus(MARGIN))
    }

    /// Runs the calm until all nodes hold the same records, or until its end. Returns the number of these records, or
    /// the difference that remains.
    pub(crate) fn settle(&mut self) -> Result<usize, String> {
        let end = self.now + self.scenario.calm.0;
        let (mut differing, mut told) = (0, String::new());
        loop {
            self.run_until(end.min(self.now + LOOK_EVERY));
            let bound = self.bound();
            let difference = self.find_difference(bound, &mut differing);
            if let Some((one, other)) = difference.filter(|_| self.options.trace.is_some()) {
                let difference = self.tell_difference(one, other, bound);
                if difference != told {
                    self.trace(&difference);
                    told = difference;
                }
            }
            if difference.is_none() || self.now >= end || self.is_hopeless() {
                self.look_for_forged();
                return match difference {
                    Some((one, other)) => Err(self.tell_difference(one, other, bound)),
                    None => self.compare(bound),
                };
            }
        }
    }

    /// Returns two nodes whose fingerprints differ. `differing` is the node that differed at the last check. It is
    /// compared first, because it most likely still differs.
    fn find_difference(&self, bound: End, differing: &mut NodeId) -> Option<(NodeId, NodeId)> {
        let mut honest = self.honest();
        let (first, _) = honest.next()?;
        let print = |node: NodeId| self.nodes[node].set().map(|set| set.fingerprint(bound));
        let wanted = print(first);
        let differs = |node: NodeId| print(node).is_none() || print(node) != wanted;
        let suspects = [first, *differing].into_iter().chain(honest.map(|(node, _)| node));
        *differing = suspects.into_iter().find(|node| differs(*node))?;
        Some((first, *differing))
    }

    fn tell_difference(&self, one: NodeId, other: NodeId, bound: End) -> String {
        let (Some(ones), Some(others)) = (self.nodes[one].set(), self.nodes[other].set()) else {
            let off = if self.nodes[one].is_off() { one } else { other };
            return format!("node {off} is not running");
        };
        let only = |has: &Set, lacks: &Set| {
            let others: BTreeSet<RecordId> = lacks.beyond(bound).map(Record::id).collect();
            let missing = has.beyond(bound).filter(|record| !others.contains(&record.id()));
            let named: Vec<String> = missing.take(MOST_NAMED).map(name).collect();
            named.join(", ")
        };
        let (Fingerprint { count: many, .. }, Fingerprint { count: less, .. }) =
            (ones.fingerprint(bound), others.fingerprint(bound));
        if many.max(less) > 5000 {
            return format!("nodes {one} and {other} differ: {many} and {less} records");
        }
        format!(
            "nodes {one} and {other} differ ({many} and {less} records): only {one} has [{}], only {other} has [{}]",
            only(ones, others),
            only(others, ones)
        )
    }

    /// Fails the run if a node holds a record that no node signed.
    fn look_for_forged(&mut self) {
        let mut found = Vec::new();
        for (node, of) in self.honest() {
            let forged =
                of.set().and_then(|set| set.records().find(|record| !self.ledger.is_genuine(record)));
            found.extend(
                forged.map(|forged| {
                    format!("node {node} holds a record that no node signed: {}", name(forged))
                }),
            );
        }
        found.into_iter().for_each(|forged| self.fail(forged));
    }

    /// Compares all sets record by record, and returns the number of records.
    fn compare(&self, bound: End) -> Result<usize, String> {
        let mut wanted: Option<BTreeMap<RecordId, &Record>> = None;
        for (node, of) in self.honest() {
            let Some(set) = of.set() else { continue };
            let held = || set.beyond(bound).map(|record| (record.id(), record));
            let Some(wanted) = &wanted else {
                wanted = Some(held().collect());
                continue;
            };
            if held().count() != wanted.len() || !held().all(|(id, record)| wanted.get(&id) == Some(&record))
            {
                return Err(format!(
                    "node {node} holds other records than the first node, although their fingerprints are equal"
                ));
            }
        }
        Ok(wanted.map_or(0, |wanted| wanted.len()))
    }
}

fn name(record: &Record) -> String {
    let data: String = record.item().data.as_str().chars().take(24).collect();
    let signer = record.signer().to_string();
    let (bucket, number) = (record.item().bucket.as_str(), record.signature().sequence);
    format!("{bucket} {data:?} of ..{} number {number}", &signer[signer.len().saturating_sub(6)..])
}
