//! Indices of the records: by item and by rank. All types here are small, because there may be a million of each.

use crate::{BucketPath, Data, Item, PeerId, Record};
use hashbrown::HashTable;
use sha2::{Digest as _, Sha256};
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;

/// Index of all records by item, in two structures. A hash table finds an item in constant time, and a sorted set of
/// the items allows iteration in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Items {
    records: HashTable<(Id, ItemRecords)>,
    order: BTreeSet<Item>,
}

/// Identifier of an item in the table: half of the SHA-256 of its path, a zero byte (which no path contains) and its
/// data. A collision is infeasible to find, so the table compares only these bytes. In a large set, reading a text from
/// memory takes longer than computing the hash. The hash also prevents an attacker from choosing items that make the
/// table slow.
type Id = [u8; 16];

fn id(item: &Item) -> Id {
    let mut hash = Sha256::new();
    hash.update(item.bucket.as_str());
    hash.update([0]);
    hash.update(item.data.as_str());
    let whole: [u8; 32] = hash.finalize().into();
    *whole.first_chunk().unwrap_or(&[0; 16])
}

/// Returns the part of an ID that determines the place in the table.
fn place_of(id: &Id) -> u64 {
    u64::from_be_bytes(*id.first_chunk().unwrap_or(&[0; 8]))
}

/// Returns the item without data, which sorts before all other items of its bucket.
pub(crate) fn first_of(bucket: &BucketPath) -> Item {
    Item { bucket: bucket.clone(), data: Data::default() }
}

impl Items {
    /// Returns the records about an item.
    pub(crate) fn get(&self, item: &Item) -> Option<&ItemRecords> {
        let wanted = id(item);
        let found = self.records.find(place_of(&wanted), |(id, _)| *id == wanted);
        found.map(|(_, records)| records)
    }

    /// Inserts a record in place of its signer's former record about the same item.
    pub(crate) fn put(&mut self, record: Record) {
        let wanted = id(record.item());
        match self.records.find_mut(place_of(&wanted), |(id, _)| *id == wanted) {
            Some((_, records)) => records.put(record),
            None => {
                self.order.insert(record.item().clone());
                let records = (wanted, ItemRecords::One(record));
                self.records.insert_unique(place_of(&wanted), records, |(id, _)| place_of(id));
            }
        }
    }

    /// Removes a signer's record about an item, and returns it.
    pub(crate) fn take(&mut self, item: &Item, signer: PeerId) -> Option<Record> {
        let wanted = id(item);
        let mut entry = self.records.find_entry(place_of(&wanted), |(id, _)| *id == wanted).ok()?;
        let (_, records) = entry.get_mut();
        let record = records.of(signer)?.clone();
        if let [_] = records.all() {
            entry.remove();
            self.order.remove(item);
        } else {
            records.take(signer);
        }
        Some(record)
    }

    /// Returns the first item of a bucket or, if the bucket is empty, of the next bucket.
    pub(crate) fn first_from(&self, bucket: &BucketPath) -> Option<&Item> {
        self.order.range(first_of(bucket)..).next()
    }

    /// Returns the records of one bucket, by item.
    pub(crate) fn of(&self, bucket: BucketPath) -> impl Iterator<Item = &ItemRecords> + use<'_> {
        let items = self.order.range(first_of(&bucket)..).take_while(move |item| item.bucket == bucket);
        items.filter_map(|item| self.get(item))
    }

    /// Returns the first item that is equal to `place` or sorts after it.
    pub(crate) fn first_at(&self, place: &Item) -> Option<&Item> {
        self.order.range::<Item, _>(place..).next()
    }

    /// Returns the next item in the order of items.
    pub(crate) fn after(&self, item: &Item) -> Option<&Item> {
        self.order.range::<Item, _>((Bound::Excluded(item), Bound::Unbounded)).next()
    }

    /// Returns the buckets that have items, in order.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = &BucketPath> {
        let first = self.order.first();
        std::iter::successors(first, |item| self.order.range(first_of(&item.bucket.successor())..).next())
            .map(|item| &item.bucket)
    }

    /// Returns all records, by bucket and data.
    pub(crate) fn all(&self) -> impl Iterator<Item = &ItemRecords> {
        self.order.iter().filter_map(|item| self.get(item))
    }
}

/// The records about one item, sorted by signer. Most items have a single record.
#[derive(Clone, Debug)]
pub(crate) enum ItemRecords {
    One(Record),
    /// At least two records, sorted by signer. Boxed, because this variant is rare and memory is scarce.
    #[expect(
        clippy::box_collection,
        reason = "it makes the other variant smaller, which nearly all items use"
    )]
    Many(Box<Vec<Record>>),
}

impl ItemRecords {
    /// Returns the item that the records are about.
    pub(crate) fn item(&self) -> &Item {
        match self {
            Self::One(record) => record.item(),
            Self::Many(records) => records[0].item(),
        }
    }

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

    /// Inserts a record in place of its signer's former one.
    fn put(&mut self, record: Record) {
        let at = self.all().binary_search_by_key(&record.signer(), Record::signer);
        match (&mut *self, at) {
            (Self::One(former), Ok(_)) => *former = record,
            (Self::Many(records), Ok(at)) => records[at] = record,
            (Self::Many(records), Err(at)) => records.insert(at, record),
            (Self::One(other), Err(at)) => {
                let mut records = vec![other.clone()];
                records.insert(at, record);
                *self = Self::Many(Box::new(records));
            }
        }
    }

    /// Removes a signer's record, if there are several records.
    fn take(&mut self, signer: PeerId) {
        if let Self::Many(records) = self {
            records.retain(|record| record.signer() != signer);
            if let [last] = records.as_slice() {
                *self = Self::One(last.clone());
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
