//! Receipts: the statements of uploaders that files are in a storage.
//!
//! A receipt is a record in `uploads/CID`, or a line in the catalogue of the uploader. It counts if its signer may state
//! receipts now; see the [bucket](dcache::buckets::UPLOADS).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod map;
mod own;

use crate::catalog::known::Counting;
use dcache::{BucketPath, Data, Item, PeerId, Time, buckets};
use ipfs::Cid;
pub use map::{MOST_STATED, ReceiptMap};
pub use own::OwnReceipts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Number of records of one file that are read. An honest peer states one, and a second one for a moment when it changes.
const MAX_READ: usize = 8;

/// Statement of an uploader that a file is in a storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Place of the object, such as `s3://bucket/prefix/logs/CID at https://s3.example.org`.
    pub place: String,
    /// Time at which the upload ended, by the clock of the uploader.
    pub time: Time,
    /// Size of the object in bytes.
    pub bytes: u64,
}

impl Receipt {
    /// Returns the data that states the receipt; `None` if the place is too long for a record.
    pub fn to_data(&self) -> Option<Data> {
        Data::new(&serde_json::to_string(self).ok()?).ok()
    }

    /// Returns the item that states the receipt of a file; `None` if the place is too long for a record.
    pub fn item(&self, cid: &Cid) -> Option<Item> {
        Some(Item { bucket: receipts_of(cid), data: self.to_data()? })
    }
}

/// Returns the bucket of the receipts of a file.
#[expect(clippy::expect_used, reason = "a CID has at most 62 characters and no slash")]
pub fn receipts_of(cid: &Cid) -> BucketPath {
    buckets::UPLOADS.of(&cid.to_string()).expect("a CID is a valid name in a path")
}

/// Returns the receipts of a file that count, with the peers that state each.
pub fn receipts(counting: &Counting<'_>, cid: &Cid) -> Vec<(Receipt, BTreeSet<PeerId>)> {
    let read = |view: dcache::View<'_>| {
        let receipt: Receipt = serde_json::from_str(view.item.data.as_str()).ok()?;
        Some((receipt, view.proposals.iter().map(|record| record.signer()).collect()))
    };
    let stated = counting.set().bucket(&receipts_of(cid), counting.now()).take(MAX_READ);
    let mut receipts: Vec<(Receipt, BTreeSet<PeerId>)> = stated.filter_map(read).collect();
    for (listed, robot) in counting.receipts(cid) {
        match receipts.iter_mut().find(|(receipt, _)| receipt == listed) {
            Some((_, signers)) => drop(signers.insert(robot)),
            None => receipts.push((listed.clone(), [robot].into())),
        }
    }
    receipts
}

/// Returns whether a peer whose statement counts states that the file is in a storage.
pub fn is_uploaded(counting: &Counting<'_>, cid: &Cid) -> bool {
    !receipts(counting, cid).is_empty()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::catalog::format::tests::{numbered, uploaded};
    use crate::catalog::known::{CatalogVersion, Catalogs, Precedence};
    use crate::catalog::stated::{LIFETIME, StatedCatalog, Valid, tests::state};
    use crate::index::tests::{NOW, peer, say};
    use dcache::{Key, Keypair, Kind, Policy, Record, Set, Statement, Validity};
    use std::num::NonZeroU8;

    /// Returns the receipt of the file with this number.
    pub(crate) fn receipt(number: u32, time: u64) -> Receipt {
        Receipt { place: format!("file:///storage/logs/{number}"), time: Time(time), bytes: 7 }
    }

    /// Returns the set of a swarm with the root 9, and catalogues in which peers 2 and 9 state that they uploaded file 1.
    fn catalogs() -> (Set, Catalogs) {
        let policy = Policy::new([peer(9)].into(), Vec::new(), NonZeroU8::MIN);
        let mut set = Set::new(policy, dcache::Limits::default());
        let mut catalogs = Catalogs::default();
        for seed in [2, 9] {
            let root = numbered(u32::from(seed));
            state(&mut set, seed, Some(StatedCatalog { root, files: 1, bytes: 9 }), NOW);
            let sequence = Valid::of(&set, peer(seed), NOW).unwrap().sequence;
            let entries = [(numbered(1), uploaded(1, false))].into();
            let version = CatalogVersion { root, sequence };
            catalogs = catalogs.with(peer(seed), version, Precedence::Member, entries).unwrap();
        }
        (set, catalogs)
    }

    fn signers(set: &Set, catalogs: &Catalogs, now: Time) -> BTreeSet<PeerId> {
        let counting = Counting::new(set, catalogs, None, now);
        let all = receipts(&counting, &numbered(1));
        assert_eq!(is_uploaded(&counting, &numbered(1)), !all.is_empty());
        assert!(!is_uploaded(&counting, &numbered(2)));
        assert!(all.len() < 2 && all.iter().all(|(known, _)| *known == receipt(1, 1)));
        all.into_iter().flat_map(|(_, signers)| signers).collect()
    }

    #[test]
    fn a_receipt_in_a_catalogue_counts_exactly_as_long_as_one_in_a_record_would() {
        let (mut set, catalogs) = catalogs();
        assert_eq!(signers(&set, &catalogs, NOW), [peer(9)].into(), "peer 2 has no role");
        assert!(signers(&set, &catalogs, NOW.plus(LIFETIME + 1)).is_empty(), "no record names the catalogue");
        assert!(signers(&set, &catalogs.without(peer(9)), NOW).is_empty());
        assert!(signers(&set, &Catalogs::default(), NOW).is_empty());
        state(&mut set, 9, None, NOW);
        assert!(signers(&set, &catalogs, NOW).is_empty(), "the robot has no catalogue any more");
    }

    #[test]
    fn a_later_record_and_a_dismissal_precede_the_line() {
        let (mut set, catalogs) = catalogs();
        let item = receipt(1, 1).item(&numbered(1)).unwrap();
        say(&mut set, 9, Kind::Propose, item.clone(), 600);
        assert_eq!(
            signers(&set, &catalogs, NOW),
            [peer(9)].into(),
            "the record and the line are one receipt"
        );
        let withdrawn = Statement::new(Kind::Propose, item.clone(), Validity::over(NOW)).unwrap();
        let keep = set.get(&Key { item: item.clone(), signer: peer(9) }).unwrap().keep();
        let sequence = set.latest_sequence(peer(9)) + 1;
        let record = Record::sign(withdrawn, &Keypair::from_seed([9; 32]), sequence, keep);
        set.admit_verified(record, NOW).unwrap();
        assert!(signers(&set, &catalogs, NOW).is_empty());
        let (mut set, catalogs) = self::catalogs();
        say(&mut set, 9, Kind::Dismiss, item, 600);
        assert!(signers(&set, &catalogs, NOW).is_empty());
    }

    #[test]
    fn a_robot_that_only_uploaded_a_file_does_not_list_it() {
        let (set, catalogs) = catalogs();
        let counting = Counting::new(&set, &catalogs, None, NOW);
        assert!(!counting.is_listed(&numbered(1)));
        assert!(catalogs.robots_of(&numbered(1)).next().is_none());
        assert!(catalogs.rarest(peer(9)).is_empty());
        assert!(crate::index_with(&set, &catalogs, NOW).is_empty());
    }
}
