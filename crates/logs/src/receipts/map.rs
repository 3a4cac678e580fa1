//! The receipts of one uploader.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Receipt;
use dcache::Time;
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

/// Maximum number of receipts that an uploader states by single records: the newest ones. Its catalogue has all of them.
pub const MOST_STATED: usize = 256;

type Part = BTreeMap<Cid, Arc<Receipt>>;

/// The receipts of one uploader, by CID. A clone and a change are cheap, however many receipts there are: the map is divided
/// into parts, and clones share the parts that did not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReceiptMap {
    /// Receipts by the last byte of their CIDs, which is part of a hash.
    parts: BTreeMap<u8, Arc<Part>>,
    /// The newest receipts, at most [`MOST_STATED`].
    newest: Arc<BTreeSet<(Time, Cid)>>,
    len: usize,
}

fn part_of(cid: &Cid) -> u8 {
    cid.hash().digest().last().copied().unwrap_or_default()
}

impl ReceiptMap {
    /// Returns the number of receipts.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are no receipts.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the receipt of a file.
    pub fn get(&self, cid: &Cid) -> Option<&Arc<Receipt>> {
        self.parts.get(&part_of(cid))?.get(cid)
    }

    /// Returns whether there is a receipt of a file.
    pub fn contains(&self, cid: &Cid) -> bool {
        self.get(cid).is_some()
    }

    /// Adds or replaces the receipt of a file.
    pub fn insert(&mut self, cid: Cid, receipt: Receipt) {
        let time = receipt.time;
        let part = Arc::make_mut(self.parts.entry(part_of(&cid)).or_default());
        if part.insert(cid, Arc::new(receipt)).is_some() {
            return self.find_newest();
        }
        self.len += 1;
        let newest = Arc::make_mut(&mut self.newest);
        newest.insert((time, cid));
        if newest.len() > MOST_STATED {
            newest.pop_first();
        }
    }

    /// Removes the receipts of these files. The cost can be proportional to the number of all receipts.
    pub fn remove_all<'a>(&mut self, cids: impl IntoIterator<Item = &'a Cid>) {
        for cid in cids {
            let Some(part) = self.parts.get_mut(&part_of(cid)) else { continue };
            if part.contains_key(cid) {
                Arc::make_mut(part).remove(cid);
                self.len -= 1;
            }
        }
        self.parts.retain(|_, part| !part.is_empty());
        self.find_newest();
    }

    fn find_newest(&mut self) {
        let mut newest = BTreeSet::new();
        for (cid, receipt) in self.iter() {
            newest.insert((receipt.time, *cid));
            if newest.len() > MOST_STATED {
                newest.pop_first();
            }
        }
        self.newest = Arc::new(newest);
    }

    /// Returns the newest receipts, the newest one first.
    pub fn newest(&self) -> impl Iterator<Item = (&Cid, &Arc<Receipt>)> {
        self.newest.iter().rev().filter_map(|(_, cid)| Some((cid, self.get(cid)?)))
    }

    /// Returns the CIDs of the oldest receipts, at most `most`. The cost is proportional to the number of all receipts.
    pub fn oldest(&self, most: usize) -> Vec<Cid> {
        let mut by_time: Vec<(Time, Cid)> = self.iter().map(|(cid, receipt)| (receipt.time, *cid)).collect();
        by_time.sort_unstable();
        by_time.into_iter().take(most).map(|(_, cid)| cid).collect()
    }

    /// Returns all receipts. Their order is always the same.
    pub fn iter(&self) -> impl Iterator<Item = (&Cid, &Arc<Receipt>)> {
        self.after(None)
    }

    /// Returns the receipts after that of a file, in the order of [`Self::iter`].
    pub fn after(&self, last: Option<Cid>) -> impl Iterator<Item = (&Cid, &Arc<Receipt>)> {
        let begun = last.as_ref().map_or(0, part_of);
        self.parts.range(begun..).flat_map(move |(number, part)| {
            let begin = last.filter(|_| *number == begun).map_or(Bound::Unbounded, Bound::Excluded);
            part.range((begin, Bound::Unbounded))
        })
    }

    /// Returns the number of files whose receipts are in only one of two maps, or differ.
    pub fn differences(&self, other: &Self) -> usize {
        let (empty, mut differences) = (Arc::default(), 0);
        for number in 0..=u8::MAX {
            let [one, two] = [self, other].map(|map| map.parts.get(&number).unwrap_or(&empty));
            if !Arc::ptr_eq(one, two) {
                let changed = one.iter().filter(|(cid, receipt)| two.get(cid) != Some(receipt)).count();
                differences += changed + two.keys().filter(|cid| !one.contains_key(cid)).count();
            }
        }
        differences
    }
}

impl FromIterator<(Cid, Receipt)> for ReceiptMap {
    fn from_iter<I: IntoIterator<Item = (Cid, Receipt)>>(receipts: I) -> Self {
        let mut map = Self::default();
        for (cid, receipt) in receipts {
            let part = Arc::make_mut(map.parts.entry(part_of(&cid)).or_default());
            map.len += usize::from(part.insert(cid, Arc::new(receipt)).is_none());
        }
        map.find_newest();
        map
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::receipt;
    use super::*;
    use crate::catalog::format::tests::numbered;
    use proptest::prelude::*;

    /// A change of the map.
    #[derive(Clone, Debug)]
    enum Change {
        Insert(u32, u64),
        Remove(Vec<u32>),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            4 => (0..40u32, 0..50u64).prop_map(|(number, time)| Change::Insert(number, time)),
            1 => prop::collection::vec(0..40u32, 0..6).prop_map(Change::Remove),
        ]
    }

    proptest! {
        #[test]
        fn it_is_like_a_plain_map(changes in prop::collection::vec(change(), 0..60)) {
            let (mut map, mut plain) = (ReceiptMap::default(), BTreeMap::new());
            for change in changes {
                let before = (map.clone(), plain.clone());
                match change {
                    Change::Insert(number, time) => {
                        map.insert(numbered(number), receipt(number, time));
                        plain.insert(numbered(number), receipt(number, time));
                    }
                    Change::Remove(numbers) => {
                        let cids: Vec<Cid> = numbers.into_iter().map(numbered).collect();
                        map.remove_all(&cids);
                        plain.retain(|cid, _| !cids.contains(cid));
                    }
                }
                let all: BTreeMap<Cid, Receipt> =
                    map.iter().map(|(cid, receipt)| (*cid, (**receipt).clone())).collect();
                prop_assert_eq!(&all, &plain);
                prop_assert_eq!(map.len(), plain.len());
                let either: BTreeSet<&Cid> = plain.keys().chain(before.1.keys()).collect();
                let differ = either.into_iter().filter(|cid| plain.get(cid) != before.1.get(cid)).count();
                prop_assert_eq!(map.differences(&before.0), differ);
                let mut by_time: Vec<(Time, Cid)> =
                    plain.iter().map(|(cid, receipt)| (receipt.time, *cid)).collect();
                by_time.sort_unstable();
                let oldest: Vec<Cid> = by_time.iter().map(|(_, cid)| *cid).collect();
                prop_assert_eq!(map.oldest(usize::MAX), oldest.clone());
                let newest: Vec<Cid> = map.newest().map(|(cid, _)| *cid).collect();
                prop_assert_eq!(newest, oldest.into_iter().rev().collect::<Vec<_>>());
            }
            prop_assert_eq!(&map, &plain.into_iter().collect());
        }
    }

    #[test]
    fn the_newest_ones_are_known_after_changes_and_a_walk_in_steps_visits_all() {
        let many = MOST_STATED as u32 * 3;
        let mut map = ReceiptMap::default();
        (0..many).for_each(|number| map.insert(numbered(number), receipt(number, u64::from(number))));
        let newest = |map: &ReceiptMap| map.newest().map(|(_, receipt)| receipt.time.0).collect::<Vec<_>>();
        let expected =
            |end: u32| (u64::from(end) - MOST_STATED as u64..u64::from(end)).rev().collect::<Vec<_>>();
        assert_eq!(newest(&map), expected(many));
        map.remove_all(&[numbered(many - 1), numbered(0)]);
        assert_eq!(newest(&map), expected(many - 1), "an older one takes the place");
        let (mut last, mut visited) = (None, BTreeSet::new());
        loop {
            let step: Vec<Cid> = map.after(last).take(100).map(|(cid, _)| *cid).collect();
            let Some(end) = step.last() else { break };
            last = Some(*end);
            assert!(step.iter().all(|cid| visited.insert(*cid)), "none is visited twice");
        }
        assert_eq!(visited.len(), map.len());
    }
}
