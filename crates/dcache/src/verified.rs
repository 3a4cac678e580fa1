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
pub struct VerifiedRecords(Arc<Mutex<Records>>);

/// Verified records, by identifier and by the swarm that they were verified for.
type Records = BTreeMap<(RecordId, Option<SwarmId>), Record>;

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

    fn records(&self) -> MutexGuard<'_, Records> {
        // Each change is a single operation, so the records are complete even if a thread panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Admission, Data, End, Item, Keypair, Kind, Refusal, Set, Time, Validity};

    const NOW: Time = Time(1_800_000_000);

    fn record(data: &str) -> Record {
        let item = Item { bucket: "share/files".parse().unwrap(), data: Data::new(data).unwrap() };
        let statement = Statement::new(Kind::Propose, item, Validity::starting(NOW, 100)).unwrap();
        Record::sign(statement, &Keypair::from_seed([1; 32]), 1, End::default())
    }

    fn sets() -> [Set; 2] {
        let verified = VerifiedRecords::default();
        [(), ()].map(|()| {
            let mut set = Set::default();
            set.share_verified(verified.clone());
            set
        })
    }

    #[test]
    fn sets_share_the_memory_of_a_record_that_one_of_them_verified() {
        let (mut sets, record) = (sets(), record("x"));
        let admit = |set: &mut Set| match set.admit(record.statement().clone(), *record.signature(), NOW) {
            Ok(Admission::New { record, .. }) => record,
            other => panic!("{other:?}"),
        };
        let [one, other] = sets.each_mut().map(admit);
        assert!(std::ptr::eq(one.statement(), other.statement()));
    }

    #[test]
    fn a_known_signature_is_no_proof_of_another_statement() {
        let ([mut one, mut other], [genuine, forged]) = (sets(), ["x", "y"].map(record));
        assert!(one.admit(genuine.statement().clone(), *genuine.signature(), NOW).is_ok());
        let refused = other.admit(forged.statement().clone(), *genuine.signature(), NOW);
        assert_eq!(refused, Err(Refusal::Forged));
        let altered = Signature { sequence: 2, ..*genuine.signature() };
        assert_eq!(other.admit(genuine.statement().clone(), altered, NOW), Err(Refusal::Forged));
    }
}
