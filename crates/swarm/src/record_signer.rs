//! Signs and numbers the statements of this node.

use dcache::{End, Item, Key, Keypair, MAX_SEQUENCE, PeerId, Record, Set, Statement};
use std::collections::BTreeMap;

/// Signs statements with increasing sequence numbers.
pub(crate) struct RecordSigner {
    keypair: Keypair,
    last: u64,
    /// For each item with a signed record that is not in the set yet: the time until which the last such record is
    /// kept.
    pending: BTreeMap<Item, End>,
}

impl RecordSigner {
    /// Returns a signer whose next sequence number follows `last`.
    pub(crate) fn new(keypair: Keypair, last: u64) -> Self {
        Self { keypair, last, pending: BTreeMap::new() }
    }

    /// Signs statements. Each record is kept for at least as long as the record that it replaces. Otherwise a peer
    /// could bring back the earlier record. `set` holds the node's earlier records.
    pub(crate) fn sign(&mut self, statements: Vec<Statement>, set: &Set) -> Vec<Record> {
        statements.into_iter().map(|statement| self.sign_one(statement, set)).collect()
    }

    fn sign_one(&mut self, statement: Statement, set: &Set) -> Record {
        let item = statement.item().clone();
        let held = set.get(&Key { item: item.clone(), signer: self.me() }).map(Record::keep);
        let pending = self.pending.get(&item).copied();
        let former = held.max(pending).unwrap_or_default();
        self.last = (self.last + 1).min(MAX_SEQUENCE);
        let record = Record::sign_for(set.policy(), statement, &self.keypair, self.last, former);
        self.pending.insert(item, record.keep());
        record
    }

    /// Notes that these records are in the set now, or never will be.
    pub(crate) fn settled(&mut self, records: &[Record]) {
        for record in records {
            if self.pending.get(record.item()) == Some(&record.keep()) {
                self.pending.remove(record.item());
            }
        }
    }

    /// Returns the last sequence number used.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// Continues above the number of a record of this node that the swarm still has and the node's disk has lost.
    pub(crate) fn heard_own(&mut self, record: &Record) {
        self.last = self.last.max(record.signature().sequence);
    }

    pub(crate) fn me(&self) -> PeerId {
        self.keypair.peer_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, Kind, Time, Validity};

    fn key() -> Keypair {
        Keypair::from_seed([1; 32])
    }

    fn statement(seconds: u64) -> Statement {
        let item = Item { bucket: "share".parse().unwrap(), data: Data::new("b").unwrap() };
        Statement::new(Kind::Propose, item, Validity::starting(Time(1), seconds)).unwrap()
    }

    #[test]
    fn sequence_numbers_grow_above_all_that_were_heard() {
        let (statement, set) = (statement(1), Set::default());
        let mut signer = RecordSigner::new(key(), 5);
        assert_eq!(signer.sign(vec![statement.clone()], &set)[0].signature().sequence, 6);
        signer.heard_own(&Record::sign(statement.clone(), &key(), 100, End::default()));
        signer.heard_own(&Record::sign(statement.clone(), &key(), 50, End::default()));
        let sequences = signer.sign(vec![statement.clone(), statement], &set);
        assert_eq!(
            sequences.iter().map(|record| record.signature().sequence).collect::<Vec<_>>(),
            [101, 102]
        );
    }

    #[test]
    fn a_shorter_record_is_kept_for_as_long_as_the_one_that_it_replaces() {
        let (mut signer, mut set) = (RecordSigner::new(key(), 0), Set::default());
        let kept = |signer: &mut RecordSigner, set: &Set, seconds| {
            let signed = signer.sign(vec![statement(seconds)], set);
            (signed[0].keep(), signed[0].clone())
        };
        let (end, long) = kept(&mut signer, &set, 100);
        assert_eq!(end, End::at(Time(101)));
        assert_eq!(kept(&mut signer, &set, 10).0, end, "while the longer record is on its way to the disk");
        set.admit_verified(long.clone(), Time(1)).unwrap();
        signer.settled(&[long]);
        assert!(signer.pending.is_empty());
        assert_eq!(kept(&mut signer, &set, 10).0, end);
        assert_eq!(kept(&mut signer, &set, 200).0, End::at(Time(201)));
    }
}
