//! Chooses the files of this robot's own catalogue.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::format::{CatalogEntries, CatalogEntry, MAX_BYTES, MAX_LINES};
use crate::choose::{MOST_OF_OTHERS, MOST_OWN};
use crate::info::Description;
use ipfs::Cid;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// Maximum length of the parts of a line other than the description.
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

    /// Returns whether there are more files than single records are made for. A robot with fewer files needs no catalogue.
    /// One that has a catalogue keeps it until it has less than half as many files.
    pub(crate) fn needs_catalog(&self, has_catalog: bool) -> bool {
        let factor = if has_catalog { 2 } else { 1 };
        let number = |files: &Option<BTreeSet<Cid>>| files.as_ref().map_or(0, BTreeSet::len) * factor;
        let lacks_records = self.lacks_records.0 || self.lacks_records.1;
        lacks_records || number(&self.own) > MOST_OWN || number(&self.others) > MOST_OF_OTHERS
    }

    /// Returns the entries of the catalogue. `kept` has the descriptions of the files. Beyond the limits of a catalogue,
    /// the newest own files come first, and then the newest other files.
    pub(crate) fn entries(&self, kept: &BTreeMap<Cid, Description>) -> CatalogEntries {
        let (own, others) = (self.own.iter().flatten(), self.others.iter().flatten());
        let files = own.map(|cid| (false, cid)).chain(others.map(|cid| (true, cid)));
        let known = files.filter_map(|(is_other, cid)| Some((is_other, cid, kept.get(cid)?)));
        let mut known: Vec<_> = known.collect();
        known.sort_by_key(|(is_other, cid, description)| (*is_other, Reverse(description.changed), **cid));
        let (mut entries, mut bytes) = (CatalogEntries::new(), 0);
        for (is_other, cid, description) in known {
            let info = description.to_data().ok();
            bytes += LINE_OVERHEAD + info.as_ref().map_or(0, |info| info.as_str().len() as u64);
            if entries.len() >= MAX_LINES || bytes > MAX_BYTES {
                break;
            }
            let entry = entries.entry(*cid).or_insert(CatalogEntry { info, ..CatalogEntry::default() });
            (entry.shares, entry.keeps) = (entry.shares || !is_other, entry.keeps || is_other);
        }
        entries
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::tests::numbered;
    use super::*;
    use crate::index::tests::description;
    use dcache::Time;

    fn cids(numbers: std::ops::Range<u32>) -> Option<BTreeSet<Cid>> {
        Some(numbers.map(numbered).collect())
    }

    #[test]
    fn a_robot_with_few_files_needs_no_catalogue_and_one_with_many_keeps_it_for_a_while() {
        let many = MOST_OWN as u32;
        let needs = |own, others, has| {
            let listing = Listing { own: cids(0..own), others: cids(0..others), ..Listing::default() };
            listing.needs_catalog(has)
        };
        assert!(!needs(many, MOST_OF_OTHERS as u32, false) && needs(many + 1, 0, false));
        assert!(needs(0, MOST_OF_OTHERS as u32 + 1, false));
        assert!(needs(many / 2 + 1, 0, true) && !needs(many / 2, 0, true));
        assert!(Listing { lacks_records: (true, false), ..Listing::default() }.needs_catalog(false));
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
        let entries = listing.entries(&kept);
        assert_eq!(entries.len(), MAX_LINES);
        assert!((0..5).all(|number| entries[&numbered(number)].shares));
        assert!((5..15).all(|number| !entries.contains_key(&numbered(number))), "the oldest are left out");
        assert!(entries[&numbered(most + 9)].keeps);
        let unknown = Listing { own: cids(most + 10..most + 11), ..Listing::default() };
        assert!(unknown.entries(&kept).is_empty(), "it is not kept any more");
    }
}
