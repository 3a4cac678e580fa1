//! Chooses the files of this robot's own catalogue.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::format::{CatalogEntries, CatalogEntry, MAX_BYTES, MAX_LINES};
use crate::choose::{MOST_OF_OTHERS, MOST_OWN};
use crate::info::Description;
use crate::receipts::{MOST_STATED, Receipt, ReceiptMap};
use ipfs::Cid;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Maximum length of the parts of a line other than the description and the receipt.
const LINE_OVERHEAD: u64 = 128;

/// The files that this robot lists. Each part is `None` until it is known after the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    /// Files of the shared folders.
    pub(crate) own: Option<BTreeSet<Cid>>,
    /// Files that this robot keeps for other robots.
    pub(crate) others: Option<BTreeSet<Cid>>,
    /// Whether own files, and files of other robots, lack single records.
    pub(crate) lacks_records: (bool, bool),
}

impl Listing {
    /// Returns whether both parts are known.
    pub(crate) fn is_known(&self) -> bool {
        self.own.is_some() && self.others.is_some()
    }

    /// Returns whether there are more files, or receipts, than single records are made for. A robot with fewer needs no
    /// catalogue. One that has a catalogue keeps it until it has less than half as many.
    pub(crate) fn needs_catalog(&self, has_catalog: bool, receipts: usize) -> bool {
        let factor = if has_catalog { 2 } else { 1 };
        let number = |files: &Option<BTreeSet<Cid>>| files.as_ref().map_or(0, BTreeSet::len) * factor;
        let lacks_records = self.lacks_records.0 || self.lacks_records.1;
        lacks_records
            || number(&self.own) > MOST_OWN
            || number(&self.others) > MOST_OF_OTHERS
            || receipts * factor > MOST_STATED
    }

    /// Returns the entries of the catalogue. `kept` has the descriptions of the files. Beyond the limits of a catalogue,
    /// the newest own files come first, then the newest other files, and then the newest receipts of files that this robot
    /// does not have.
    pub(crate) fn entries(&self, kept: &BTreeMap<Cid, Description>, receipts: &ReceiptMap) -> CatalogEntries {
        let (own, others) = (self.own.iter().flatten(), self.others.iter().flatten());
        let files = own.map(|cid| (false, cid)).chain(others.map(|cid| (true, cid)));
        let known = files.filter_map(|(is_other, cid)| Some((is_other, cid, kept.get(cid)?)));
        let mut known: Vec<_> = known.collect();
        known.sort_by_key(|(is_other, cid, description)| (*is_other, Reverse(description.changed), **cid));
        let (mut entries, mut bytes) = (CatalogEntries::new(), 0);
        for (is_other, cid, description) in known {
            let info = description.to_data().ok();
            let receipt = receipts.get(cid).filter(|receipt| receipt.to_data().is_some()).cloned();
            bytes += LINE_OVERHEAD + info.as_ref().map_or(0, |info| info.as_str().len() as u64);
            bytes += length(receipt.as_deref());
            if entries.len() >= MAX_LINES || bytes > MAX_BYTES {
                return entries;
            }
            let entry = CatalogEntry { info, receipt, ..CatalogEntry::default() };
            let entry = entries.entry(*cid).or_insert(entry);
            (entry.shares, entry.keeps) = (entry.shares || !is_other, entry.keeps || is_other);
        }
        let mut others: Vec<_> = receipts.iter().filter(|(cid, _)| !entries.contains_key(*cid)).collect();
        others.sort_by_key(|(cid, receipt)| (Reverse(receipt.time), **cid));
        for (cid, receipt) in others.into_iter().filter(|(_, receipt)| receipt.to_data().is_some()) {
            bytes += LINE_OVERHEAD + length(Some(receipt));
            if entries.len() >= MAX_LINES || bytes > MAX_BYTES {
                return entries;
            }
            let receipt = Some(Arc::clone(receipt));
            entries.insert(*cid, CatalogEntry { receipt, ..CatalogEntry::default() });
        }
        entries
    }
}

/// Returns the length of a receipt in a line.
fn length(receipt: Option<&Receipt>) -> u64 {
    receipt.and_then(Receipt::to_data).map_or(0, |data| data.as_str().len() as u64)
}

#[cfg(test)]
mod tests {
    use super::super::format::tests::numbered;
    use super::*;
    use crate::index::tests::description;
    use crate::receipts::tests::receipt;
    use dcache::Time;

    fn cids(numbers: std::ops::Range<u32>) -> Option<BTreeSet<Cid>> {
        Some(numbers.map(numbered).collect())
    }

    #[test]
    fn a_robot_with_few_files_needs_no_catalogue_and_one_with_many_keeps_it_for_a_while() {
        let many = MOST_OWN as u32;
        let needs = |own, others, has| {
            let listing = Listing { own: cids(0..own), others: cids(0..others), ..Listing::default() };
            listing.needs_catalog(has, 0)
        };
        assert!(!needs(many, MOST_OF_OTHERS as u32, false) && needs(many + 1, 0, false));
        assert!(needs(0, MOST_OF_OTHERS as u32 + 1, false));
        assert!(needs(many / 2 + 1, 0, true) && !needs(many / 2, 0, true));
        assert!(Listing { lacks_records: (true, false), ..Listing::default() }.needs_catalog(false, 0));
        let for_receipts = |receipts, has| Listing::default().needs_catalog(has, receipts);
        assert!(!for_receipts(MOST_STATED, false) && for_receipts(MOST_STATED + 1, false));
        assert!(for_receipts(MOST_STATED / 2 + 1, true) && !for_receipts(MOST_STATED / 2, true));
    }

    #[test]
    fn receipts_are_in_the_lines_of_held_files_and_in_lines_of_their_own() {
        let kept = (0..3).map(|number| (numbered(number), description(1, "a.bag"))).collect();
        let listing = Listing { own: cids(0..2), others: cids(2..3), ..Listing::default() };
        let receipts = (1..5).map(|number| (numbered(number), receipt(number, 7))).collect();
        let entries = listing.entries(&kept, &receipts);
        let of = |number| {
            let entry = &entries[&numbered(number)];
            (entry.shares, entry.keeps, entry.info.is_some(), entry.receipt.is_some())
        };
        assert_eq!((of(0), of(1)), ((true, false, true, false), (true, false, true, true)));
        assert_eq!((of(2), of(3)), ((false, true, true, true), (false, false, false, true)));
        assert_eq!(entries.len(), 5);
        let long = Receipt { place: "x".repeat(2000), ..receipt(9, 7) };
        let with_long = ReceiptMap::from_iter([(numbered(9), long.clone()), (numbered(0), long)]);
        let entries = listing.entries(&kept, &with_long);
        assert!(entries.len() == 3 && entries.values().all(|entry| entry.receipt.is_none()));
    }

    #[test]
    fn the_newest_receipts_come_first_when_there_are_too_many() {
        let most = MAX_LINES as u32;
        let receipts =
            (0..most + 5).map(|number| (numbered(number), receipt(1, u64::from(number)))).collect();
        let kept = [(numbered(0), description(1, "a.bag"))].into();
        let listing = Listing { own: cids(0..1), ..Listing::default() };
        let entries = listing.entries(&kept, &receipts);
        assert_eq!(entries.len(), MAX_LINES);
        assert!(entries[&numbered(0)].shares && entries[&numbered(0)].receipt.is_some());
        assert!((1..6).all(|number| !entries.contains_key(&numbered(number))));
        assert!((6..12).all(|number| entries.contains_key(&numbered(number))));
    }

    #[test]
    fn own_files_and_the_newest_files_come_first_when_there_are_too_many() {
        let mut kept = BTreeMap::new();
        let (most, known) = (MAX_LINES as u32, description(1, "a.bag"));
        for number in 0..most + 10 {
            let changed = Time(u64::from(number));
            kept.insert(numbered(number), Description { changed, ..known.clone() });
        }
        let listing = Listing { own: cids(0..5), others: cids(5..most + 10), ..Listing::default() };
        let none = ReceiptMap::default();
        let entries = listing.entries(&kept, &none);
        assert_eq!(entries.len(), MAX_LINES);
        assert!((0..5).all(|number| entries[&numbered(number)].shares));
        assert!((5..15).all(|number| !entries.contains_key(&numbered(number))), "the oldest are left out");
        assert!(entries[&numbered(most + 9)].keeps);
        let unknown = Listing { own: cids(most + 10..most + 11), ..Listing::default() };
        assert!(unknown.entries(&kept, &none).is_empty(), "it is not kept any more");
    }
}
