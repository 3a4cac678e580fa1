//! Records of the simulator itself, which no node can read: every record that was really signed, and how far new ones
//! have spread.

use crate::node::NodeId;
use dcache::{Record, RecordId};
use std::collections::BTreeMap;
use std::time::Duration;

/// The spread of a record to all nodes.
#[derive(Debug)]
pub(crate) struct Journey {
    /// Index of its sort of records in the scenario.
    pub(crate) group: usize,
    pub(crate) began: Duration,
    /// Bit set of the honest nodes that it has reached.
    reached: Vec<u64>,
    /// Times between its publication and its arrival at each of these nodes, in increasing order.
    pub(crate) times: Vec<Duration>,
}

impl Journey {
    fn reach(&mut self, node: NodeId, now: Duration) {
        let (word, bit) = (node / 64, 1 << (node % 64));
        if self.reached.len() <= word {
            self.reached.resize(word + 1, 0);
        }
        if self.reached[word] & bit == 0 {
            self.reached[word] |= bit;
            self.times.push(now - self.began);
        }
    }

    /// Returns the time until it had reached `many` nodes; `None` if it has not reached so many.
    pub(crate) fn to(&self, many: usize) -> Option<Duration> {
        self.times.get(many.max(1) - 1).copied()
    }
}

/// All records that were signed, and the spread of the new ones.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    signed: BTreeMap<RecordId, Record>,
    journeys: BTreeMap<RecordId, Journey>,
    /// Number of times that an honest node took a record of another signer.
    pub(crate) taken: u64,
}

impl Ledger {
    /// Notes a record that its signer was allowed to sign.
    pub(crate) fn signed(&mut self, record: &Record) {
        self.signed.insert(record.id(), record.clone());
    }

    /// Starts watching the spread of a record.
    pub(crate) fn watch(&mut self, record: &Record, group: usize, now: Duration) {
        let journey = Journey { group, began: now, reached: Vec::new(), times: Vec::new() };
        self.journeys.insert(record.id(), journey);
    }

    /// Stops watching a record that was lost before any other node received it.
    pub(crate) fn forget(&mut self, record: &Record) {
        self.journeys.remove(&record.id());
    }

    /// Notes that an honest node has a record now.
    pub(crate) fn reached(&mut self, record: &Record, node: NodeId, now: Duration) {
        if let Some(journey) = self.journeys.get_mut(&record.id()) {
            journey.reach(node, now);
        }
    }

    /// Returns whether exactly this record was signed. (The ID of a record covers signer and signature; its statement
    /// is compared too.)
    pub(crate) fn is_genuine(&self, record: &Record) -> bool {
        self.signed.get(&record.id()) == Some(record)
    }

    /// Returns whether at least one record was signed.
    pub(crate) fn is_used(&self) -> bool {
        !self.signed.is_empty()
    }

    pub(crate) fn journeys(&self) -> impl Iterator<Item = (&Record, &Journey)> {
        self.journeys.iter().filter_map(|(id, journey)| Some((self.signed.get(id)?, journey)))
    }
}
