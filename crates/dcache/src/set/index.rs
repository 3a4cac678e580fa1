//! Indices of the records: by item and by rank. All types here are small, because there may be a million of each.

use crate::{BucketPath, Data, Item, PeerId, Record};
use hashbrown::HashTable;
use sha2::{Digest as _, Sha256};
use std::cmp::Ordering;
use std::collections::{BTreeSet, btree_set};
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

    /// Returns the records about all items in the buckets that `choose` accepts, by bucket and data, with what `choose`
    /// returned for the bucket. It is called once for each bucket.
    pub(crate) fn chosen<'a, T: Copy>(
        &'a self,
        choose: impl FnMut(&'a BucketPath) -> Option<T> + 'a,
    ) -> impl Iterator<Item = (&'a ItemRecords, T)> {
        let walk =
            Walk { items: self, rest: self.order.range::<Item, _>(..), choose, bucket: None, passed: 0 };
        walk.filter_map(|(item, chosen)| Some((self.get(item)?, chosen)))
    }

    /// Returns all records, by bucket and data.
    pub(crate) fn all(&self) -> impl Iterator<Item = &ItemRecords> {
        self.order.iter().filter_map(|item| self.get(item))
    }
}

/// Number of items of a bucket that are passed one by one before the rest of the bucket is passed with a search. Most
/// buckets of a swarm have one or two items, and a search takes as long as dozens of steps.
const STEPS: usize = 16;

/// Goes through the items of the buckets that `choose` accepts.
struct Walk<'a, F, T> {
    items: &'a Items,
    rest: btree_set::Range<'a, Item>,
    choose: F,
    /// The present bucket, and what `choose` returned for it.
    bucket: Option<(&'a BucketPath, Option<T>)>,
    /// Number of items of the present bucket that were passed.
    passed: usize,
}

impl<'a, F: FnMut(&'a BucketPath) -> Option<T>, T: Copy> Iterator for Walk<'a, F, T> {
    type Item = (&'a Item, T);

    fn next(&mut self) -> Option<(&'a Item, T)> {
        loop {
            let item = self.rest.next()?;
            let present = self.bucket.filter(|(bucket, _)| **bucket == item.bucket);
            let (bucket, chosen) = present.unwrap_or_else(|| (&item.bucket, (self.choose)(&item.bucket)));
            self.passed = if present.is_some() { self.passed + 1 } else { 0 };
            self.bucket = Some((bucket, chosen));
            match chosen {
                Some(chosen) => return Some((item, chosen)),
                None if self.passed >= STEPS => {
                    self.rest = self.items.order.range(first_of(&bucket.successor())..);
                }
                None => {}
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{End, Keypair, Kind, Statement, Time, Validity};
    use proptest::prelude::*;

    fn item(bucket: usize, data: usize) -> Item {
        // Some of the paths are below others.
        let path = ["a", "a/b", "a/c", "b", "b/a/c"][bucket];
        Item { bucket: path.parse().unwrap(), data: Data::new(&data.to_string()).unwrap() }
    }

    fn record(item: &Item) -> Record {
        let statement = Statement::new(Kind::Propose, item.clone(), Validity::starting(Time(9), 9)).unwrap();
        Record::sign(statement, &Keypair::from_seed([1; 32]), 1, End::default())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn all_items_of_the_chosen_buckets_come_in_order(
            numbers in prop::collection::vec(0..3 * STEPS, 5), wanted in prop::collection::vec(any::<bool>(), 5),
        ) {
            let mut items = Items::default();
            for (bucket, number) in numbers.iter().enumerate() {
                (0..*number).for_each(|data| items.put(record(&item(bucket, data))));
            }
            let choose = |path: &BucketPath| {
                let bucket = (0..5).find(|bucket| item(*bucket, 0).bucket == *path)?;
                wanted[bucket].then_some(bucket)
            };
            let found: Vec<_> =
                items.chosen(choose).map(|(records, bucket)| (records.item().clone(), bucket)).collect();
            let all = items.all().map(|records| records.item().clone());
            let expected: Vec<_> =
                all.filter_map(|item| choose(&item.bucket).map(|bucket| (item, bucket))).collect();
            prop_assert_eq!(found, expected);
            let mut asked = Vec::new();
            let none = items.chosen(|path: &BucketPath| -> Option<()> { asked.push(path.clone()); None });
            prop_assert_eq!(none.count(), 0);
            prop_assert_eq!(asked.len(), numbers.iter().filter(|number| **number > 0).count());
        }
    }
}
