//! How records are found: by item, and by rank. The keys are small, because there is a million of them.

use crate::{BucketPath, Data, Item, PeerId, Record};
use std::cmp::Ordering;

/// Bytes of an item's data that are compared without following a pointer.
const PREFIX: usize = 16;

/// An item as the key of a map: sorted as [`Item`] is, by bucket and data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    item: Item,
    /// The beginning of the data, filled up with zeros. It decides most comparisons, and lies in the map itself: of a
    /// large set each look elsewhere costs as much as all the rest.
    prefix: [u8; PREFIX],
}

impl Place {
    pub(crate) fn new(item: &Item) -> Self {
        let data = item.data.as_str().as_bytes();
        let mut prefix = [0; PREFIX];
        let length = data.len().min(PREFIX);
        prefix[..length].copy_from_slice(&data[..length]);
        Self { item: item.clone(), prefix }
    }

    /// Sorts before every item of the bucket but the one without data, which it is.
    pub(crate) fn first_of(bucket: &BucketPath) -> Self {
        Self::new(&Item { bucket: bucket.clone(), data: Data::default() })
    }

    pub(crate) fn item(&self) -> &Item {
        &self.item
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        let buckets = self.item.bucket.cmp(&other.item.bucket);
        let data = || self.item.data.cmp(&other.item.data);
        buckets.then(self.prefix.cmp(&other.prefix)).then_with(data)
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The records about one item, by signer. Most items have one.
#[derive(Clone, Debug)]
pub(crate) enum Voices {
    One(Record),
    /// Sorted by signer.
    Many(Vec<Record>),
}

impl Voices {
    pub(crate) fn all(&self) -> &[Record] {
        match self {
            Self::One(record) => std::slice::from_ref(record),
            Self::Many(records) => records,
        }
    }

    pub(crate) fn of(&self, signer: PeerId) -> Option<&Record> {
        let all = self.all();
        let at = all.binary_search_by_key(&signer, Record::signer).ok()?;
        all.get(at)
    }

    /// Puts a record in, in place of its signer's former one.
    pub(crate) fn put(&mut self, record: Record) {
        let at = self.all().binary_search_by_key(&record.signer(), Record::signer);
        match (&mut *self, at) {
            (Self::One(former), Ok(_)) => *former = record,
            (Self::Many(records), Ok(at)) => records[at] = record,
            (Self::Many(records), Err(at)) => records.insert(at, record),
            (Self::One(other), Err(at)) => {
                let mut records = vec![other.clone()];
                records.insert(at, record);
                *self = Self::Many(records);
            }
        }
    }

    /// Takes a signer's record out; whether that was the last one.
    pub(crate) fn take(&mut self, signer: PeerId) -> bool {
        match self {
            Self::One(record) => record.signer() == signer,
            Self::Many(records) => {
                records.retain(|record| record.signer() != signer);
                if let [last] = records.as_slice() {
                    *self = Self::One(last.clone());
                }
                self.all().is_empty()
            }
        }
    }
}

/// A record, sorted by rank.
#[derive(Clone, Debug)]
pub(crate) struct Ranked(pub(crate) Record);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.rank(&other.0)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn item(bucket: &str, data: &str) -> Item {
        Item { bucket: bucket.parse().unwrap(), data: Data::new(data).unwrap() }
    }

    proptest! {
        #[test]
        fn places_are_sorted_as_items_are(
            one in ("[ab]", "[a\\x00b]{0,20}"), two in ("[ab]", "[a\\x00b]{0,20}"),
        ) {
            let [one, two] = [one, two].map(|(bucket, data)| item(&bucket, &data));
            prop_assert_eq!(Place::new(&one).cmp(&Place::new(&two)), one.cmp(&two));
        }
    }
}
