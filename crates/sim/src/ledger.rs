//! What the simulator knows and no node does: every record that was really signed, and how far the new ones got.

use crate::node::NodeId;
use dcache::{Record, RecordId};
use std::collections::BTreeMap;
use std::time::Duration;

/// A record on its way to everybody.
#[derive(Debug)]
pub(crate) struct Journey {
    /// Which sort of records it is, by its place in the scenario.
    pub(crate) group: usize,
    pub(crate) began: Duration,
    /// Which honest nodes it has reached.
    reached: Vec<u64>,
    /// After how long each of them, in their order.
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

    /// After how long it had reached so many; `None` when it did not.
    pub(crate) fn to(&self, many: usize) -> Option<Duration> {
        self.times.get(many.max(1) - 1).copied()
    }
}

/// All records that were signed.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    signed: BTreeMap<RecordId, Record>,
    journeys: BTreeMap<RecordId, Journey>,
    /// How many times an honest node took a record of somebody else, and the bytes of these records' payloads.
    pub(crate) taken: u64,
}

impl Ledger {
    /// Somebody signed it who may.
    pub(crate) fn signed(&mut self, record: &Record) {
        self.signed.insert(record.id(), record.clone());
    }

    /// It is watched how far it gets.
    pub(crate) fn watch(&mut self, record: &Record, group: usize, now: Duration) {
        let journey = Journey { group, began: now, reached: Vec::new(), times: Vec::new() };
        self.journeys.insert(record.id(), journey);
    }

    /// It was lost before anybody heard of it.
    pub(crate) fn forget(&mut self, record: &Record) {
        self.journeys.remove(&record.id());
    }

    /// An honest node has it now.
    pub(crate) fn reached(&mut self, record: &Record, node: NodeId, now: Duration) {
        if let Some(journey) = self.journeys.get_mut(&record.id()) {
            journey.reach(node, now);
        }
    }

    /// Whether just this was signed. (A record's ID covers signer and signature; what it says is compared too.)
    pub(crate) fn is_genuine(&self, record: &Record) -> bool {
        self.signed.get(&record.id()) == Some(record)
    }

    /// Whether anything was ever signed.
    pub(crate) fn is_used(&self) -> bool {
        !self.signed.is_empty()
    }

    pub(crate) fn journeys(&self) -> impl Iterator<Item = (&Record, &Journey)> {
        self.journeys.iter().filter_map(|(id, journey)| Some((self.signed.get(id)?, journey)))
    }
}
