//! What this node says: signed, numbered, and on the disk before anybody hears it.

use dcache::{Keypair, MAX_SEQUENCE, PeerId, Record, Statement};
use std::sync::Arc;

/// Signs statements with sequence numbers that only grow.
pub(crate) struct Mouth {
    keypair: Keypair,
    last: u64,
}

impl Mouth {
    /// Goes on after `last`.
    pub(crate) fn new(keypair: Keypair, last: u64) -> Self {
        Self { keypair, last }
    }

    pub(crate) fn sign(&mut self, statements: Vec<Arc<Statement>>) -> Vec<Record> {
        let sign = |statement| {
            self.last = (self.last + 1).min(MAX_SEQUENCE);
            Record::sign(statement, &self.keypair, self.last)
        };
        statements.into_iter().map(sign).collect()
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
    use dcache::{Data, Item, Kind, Time, Validity};

    #[test]
    fn numbers_grow_above_all_that_was_ever_heard() {
        let item = Item { bucket: "a".parse().unwrap(), data: Data::new("b").unwrap() };
        let statement =
            Arc::new(Statement::new(Kind::Propose, item, Validity::starting(Time(1), 1)).unwrap());
        let key = || Keypair::from_seed([1; 32]);
        let mut mouth = Mouth::new(key(), 5);
        assert_eq!(mouth.sign(vec![statement.clone()])[0].signature().sequence, 6);
        mouth.heard_own(&Record::sign(statement.clone(), &key(), 100));
        mouth.heard_own(&Record::sign(statement.clone(), &key(), 50));
        let sequences = mouth.sign(vec![statement.clone(), statement]);
        assert_eq!(
            sequences.iter().map(|record| record.signature().sequence).collect::<Vec<_>>(),
            [101, 102]
        );
    }
}
