//! The record in `pri/ID/catalog` by which a robot names its catalogue.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::format::{MAX_BYTES, MAX_LINES};
use crate::buckets;
use dcache::buckets::CATALOG;
use dcache::{Data, Item, Key, Kind, PeerId, Set, Statements, Time, Validity};
use ipfs::Cid;
use std::fmt;
use std::str::FromStr;

/// Validity, in seconds, of the record.
pub(crate) const LIFETIME: u64 = CATALOG.lifetime();
/// Number of statements of one robot that are read. An honest robot makes one, and a second one for a moment when its
/// catalogue changes.
const MAX_READ: usize = 4;

/// A catalogue, as its record names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatedCatalog {
    /// Root of the catalogue in IPFS.
    pub root: Cid,
    /// Number of its files.
    pub files: usize,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Error for data of a record that names no catalogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a catalogue is named by its CID, its number of files and its size in bytes, within the limits of a catalogue"
)]
pub struct NotStated;

impl fmt::Display for StatedCatalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.root, self.files, self.bytes)
    }
}

impl FromStr for StatedCatalog {
    type Err = NotStated;

    fn from_str(text: &str) -> Result<Self, NotStated> {
        let parts: Vec<&str> = text.split(' ').collect();
        let [root, files, bytes] = parts[..] else { return Err(NotStated) };
        let root = buckets::parse(root).ok_or(NotStated)?;
        let (files, bytes) = (files.parse().map_err(|_| NotStated)?, bytes.parse().map_err(|_| NotStated)?);
        let stated = Self { root, files, bytes };
        // Only the canonical spelling is accepted, as for CIDs.
        let is_valid = files <= MAX_LINES && bytes <= MAX_BYTES && stated.to_string() == text;
        is_valid.then_some(stated).ok_or(NotStated)
    }
}

/// A catalogue whose record is valid now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Valid {
    pub(crate) catalog: StatedCatalog,
    /// Sequence number of the record.
    pub(crate) sequence: u64,
    /// End of the record's validity.
    pub(crate) until: Option<Time>,
}

impl Valid {
    /// Returns the catalogue that a robot names at `now`. Of several statements, the latest counts.
    pub(crate) fn of(set: &Set, robot: PeerId, now: Time) -> Option<Self> {
        let stated = set.bucket(&CATALOG.of(robot), now).take(MAX_READ);
        let read = stated.filter_map(|view| {
            let record = view.proposals.iter().find(|record| record.signer() == robot)?;
            let catalog = view.item.data.as_str().parse().ok()?;
            let (sequence, until) = (record.signature().sequence, record.validity().until());
            Some(Self { catalog, sequence, until })
        });
        read.max_by_key(|valid| valid.sequence)
    }
}

/// Returns the statements by which `me` names this catalogue in place of its former ones; `None` takes back all. A
/// statement is renewed after half of its lifetime.
pub(crate) fn statements(catalog: Option<StatedCatalog>, set: &Set, me: PeerId, now: Time) -> Statements {
    let (mut statements, bucket) = (Statements::new(), CATALOG.of(me));
    let data = catalog.and_then(|catalog| Data::new(&catalog.to_string()).ok());
    let item = data.map(|data| Item { bucket: bucket.clone(), data });
    if let Some(item) = &item {
        let own = set.get(&Key { item: item.clone(), signer: me });
        let former = own.filter(|own| own.kind() == Kind::Propose).map(|own| own.validity());
        let is_fresh = former.is_some_and(|former| {
            former.contains(now) && former.until().is_some_and(|until| until > now.plus(LIFETIME / 2))
        });
        if !is_fresh {
            statements.propose(item.clone(), Validity::renewed(former, now, LIFETIME));
        }
    }
    for view in set.bucket(&bucket, now).filter(|view| item.as_ref() != Some(view.item)) {
        statements.propose(view.item.clone(), Validity::over(now));
    }
    statements
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::index::tests::{NOW, cid, peer, publish};

    fn stated(files: usize) -> StatedCatalog {
        StatedCatalog { root: cid(), files, bytes: 9 }
    }

    /// Makes a robot name a catalogue with this number of files.
    pub(crate) fn state(set: &mut Set, seed: u8, catalog: Option<StatedCatalog>, now: Time) -> usize {
        let statements = statements(catalog, set, peer(seed), now);
        publish(set, seed, statements, now)
    }

    #[test]
    fn only_the_canonical_text_within_the_limits_names_a_catalogue() {
        let text = stated(7).to_string();
        assert_eq!(text, format!("{} 7 9", cid()));
        assert_eq!(text.parse(), Ok(stated(7)));
        for text in [
            text.replace(" 7", " 07"),
            text.replace(" 7", "  7"),
            text.clone() + " 1",
            text.to_uppercase(),
            text.replace('7', "100001"),
            text.replace('9', "33554433"),
            format!("{} 7", cid()),
            String::new(),
        ] {
            assert_eq!(text.parse::<StatedCatalog>(), Err(NotStated), "{text}");
        }
    }

    #[test]
    fn a_new_version_replaces_the_former_one_and_the_same_version_is_seldom_stated() {
        let mut set = Set::default();
        let now = |set: &Set, now| Valid::of(set, peer(1), now).map(|valid| valid.catalog.files);
        assert_eq!(state(&mut set, 1, Some(stated(1)), NOW), 1);
        assert_eq!((state(&mut set, 1, Some(stated(1)), NOW.plus(60)), now(&set, NOW)), (0, Some(1)));
        assert_eq!(state(&mut set, 1, Some(stated(1)), NOW.plus(LIFETIME / 2 + 1)), 1, "it is renewed");
        let later = NOW.plus(LIFETIME / 2 + 60);
        assert_eq!((state(&mut set, 1, Some(stated(2)), later), now(&set, later)), (2, Some(2)));
        assert_eq!((state(&mut set, 1, None, later), now(&set, later)), (1, None));
    }

    #[test]
    fn another_robot_cannot_name_the_catalogue_of_a_robot() {
        let mut set = Set::default();
        let data = Data::new(&stated(3).to_string()).unwrap();
        let item = Item { bucket: CATALOG.of(peer(1)), data };
        let statement = dcache::Statement::new(Kind::Propose, item, Validity::starting(NOW, 600)).unwrap();
        let key = dcache::Keypair::from_seed([2; 32]);
        let _ = set.admit_verified(dcache::Record::sign(statement, &key, 1, dcache::End::default()), NOW);
        assert_eq!(Valid::of(&set, peer(1), NOW), None);
    }
}
