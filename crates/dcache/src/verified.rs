//! Verified records that the sets of several nodes in one process share.

use crate::{Record, RecordId, Signature, Statement, SwarmId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Maximum number of records that are kept, at about 500 bytes each.
const MOST: usize = 100_000;

/// Records whose signatures were verified before, with the swarms that they were verified for. Clones share the same
/// records.
///
/// A simulator runs thousands of nodes in one process. With this memo, each signature is verified once, not once by each
/// node, and all nodes share the memory of a record. Whether a signature is valid depends on its bytes only, so a set
/// admits the same records with and without the memo.
#[derive(Clone, Debug, Default)]
pub struct VerifiedRecords(Arc<Mutex<BTreeMap<(RecordId, Option<SwarmId>), Record>>>);

impl VerifiedRecords {
    /// Returns the record of this statement and signature, if it was verified for this swarm.
    pub(crate) fn get(
        &self,
        swarm: Option<SwarmId>,
        statement: &Statement,
        signature: &Signature,
    ) -> Option<Record> {
        let records = self.records();
        let record = records.get(&(RecordId::of(signature), swarm))?;
        (record.statement() == statement && record.signature() == signature).then(|| record.clone())
    }

    /// Notes a record that was verified for this swarm. Forgets all others if there are too many.
    pub(crate) fn keep(&self, swarm: Option<SwarmId>, record: &Record) {
        let mut records = self.records();
        if records.len() >= MOST {
            records.clear();
        }
        records.insert((record.id(), swarm), record.clone());
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<(RecordId, Option<SwarmId>), Record>> {
        // Each change is a single operation, so the records are complete even if a thread panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
