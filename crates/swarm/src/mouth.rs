//! What this node says: signed, numbered, and on the disk before anybody hears it.

use dcache::{End, Item, Key, Keypair, MAX_SEQUENCE, PeerId, Record, Set, Statement};
use std::collections::BTreeMap;

/// Signs statements with sequence numbers that only grow.
pub(crate) struct Mouth {
    keypair: Keypair,
    last: u64,
    /// Words that are signed and not in the set yet: until when the last one about an item is to be kept.
    unsaid: BTreeMap<Item, End>,
}

impl Mouth {
    /// Goes on after `last`.
    pub(crate) fn new(keypair: Keypair, last: u64) -> Self {
        Self { keypair, last, unsaid: BTreeMap::new() }
    }

    /// Signs statements, each so that it is kept for as long as what it replaces, or that would come back. `set` has
    /// what this node said before.
    pub(crate) fn sign(&mut self, statements: Vec<Statement>, set: &Set) -> Vec<Record> {
        statements.into_iter().map(|statement| self.sign_one(statement, set)).collect()
    }

    fn sign_one(&mut self, statement: Statement, set: &Set) -> Record {
        let item = statement.item().clone();
        let held = set.get(&Key { item: item.clone(), signer: self.me() }).map(Record::keep);
        let unsaid = self.unsaid.get(&item).copied();
        let former = held.max(unsaid).unwrap_or_default();
        self.last = (self.last + 1).min(MAX_SEQUENCE);
        let record = Record::sign(statement, &self.keypair, self.last, former);
        self.unsaid.insert(item, record.keep());
        record
    }

    /// These words were said, or will never be.
    pub(crate) fn settled(&mut self, records: &[Record]) {
        for record in records {
            if self.unsaid.get(record.item()) == Some(&record.keep()) {
                self.unsaid.remove(record.item());
            }
        }
    }

    /// The last number used.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The swarm remembers a word of this node that its own disk has forgotten: go on above it.
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
    fn numbers_grow_above_all_that_was_ever_heard() {
        let (statement, set) = (statement(1), Set::default());
        let mut mouth = Mouth::new(key(), 5);
        assert_eq!(mouth.sign(vec![statement.clone()], &set)[0].signature().sequence, 6);
        mouth.heard_own(&Record::sign(statement.clone(), &key(), 100, End::default()));
        mouth.heard_own(&Record::sign(statement.clone(), &key(), 50, End::default()));
        let sequences = mouth.sign(vec![statement.clone(), statement], &set);
        assert_eq!(
            sequences.iter().map(|record| record.signature().sequence).collect::<Vec<_>>(),
            [101, 102]
        );
    }

    #[test]
    fn a_shorter_word_is_kept_for_as_long_as_the_one_that_it_replaces() {
        let (mut mouth, mut set) = (Mouth::new(key(), 0), Set::default());
        let kept = |mouth: &mut Mouth, set: &Set, seconds| {
            let signed = mouth.sign(vec![statement(seconds)], set);
            (signed[0].keep(), signed[0].clone())
        };
        let (end, long) = kept(&mut mouth, &set, 100);
        assert_eq!(end, End::at(Time(101)));
        assert_eq!(kept(&mut mouth, &set, 10).0, end, "while the long one is on its way to the disk");
        set.admit_verified(long.clone(), Time(1)).unwrap();
        mouth.settled(&[long]);
        assert!(mouth.unsaid.is_empty());
        assert_eq!(kept(&mut mouth, &set, 10).0, end);
        assert_eq!(kept(&mut mouth, &set, 200).0, End::at(Time(201)));
    }
}
