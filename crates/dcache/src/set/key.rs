//! The key of a record in the set.

use crate::{Item, PeerId, Record};

/// Key of a record in the set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Item that the record is about.
    pub item: Item,
    /// Signer of the record.
    pub signer: PeerId,
}

impl From<&Record> for Key {
    fn from(record: &Record) -> Self {
        Self { item: record.item().clone(), signer: record.signer() }
    }
}
