//! Versions of one path: what an uploader states about one that it replaced, and how holders see that.
//!
//! The uploader dismisses the older version's CID in `share/safe`, and where others state them in the earlier buckets: then
//! no peer lists or fetches it any more. Where its dismissal there would not count, it takes back its description in
//! `share/info/CID`. Whoever keeps a file that its own uploader dismisses in one of these ways, or discards, lets it go.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets::{self, LIFETIME, Station};
use crate::index::SharedFile;
use crate::info::Description;
use crate::ledger::Taken;
use crate::settle::Fingerprint;
use dcache::{Item, Key, Kind, PeerId, Record, Set, Statements, Time, Validity};
use ipfs::Cid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum validity of a statement in seconds.
const LONGEST: u64 = dcache::buckets::LONGEST_LIFETIME;

/// Maximum number of older versions that are remembered. Statements about them are made for as long as other peers say to
/// keep them, which usually is for days.
const MAX_OLDER: usize = 4096;

/// An older version of an own file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Older {
    /// Its path, relative to the shared folder.
    pub(crate) path: String,
    /// Description of the older version.
    pub(crate) description: Description,
}

/// What became of an older version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// A file of the shared folder has the same content and name again.
    IsBack,
    /// Another version is at its path, or none.
    By(Option<Cid>, Description),
}

/// Returns the older versions that these new files of `uploader` replace. `taken` holds the files before.
pub(crate) fn replaced(
    taken: &BTreeMap<String, Taken>,
    new: &[(String, Taken)],
    uploader: PeerId,
) -> Vec<(Cid, Older)> {
    let older = |(path, now): &(String, Taken)| {
        let before = taken.get(path).filter(|before| before.cid != now.cid)?;
        Some((
            before.cid,
            Older { path: path.clone(), description: describe(path, before.fingerprint, uploader) },
        ))
    };
    new.iter().filter_map(older).collect()
}

/// Returns the older versions that are forgotten when this number is added: those that were changed first.
pub(crate) fn forgotten(older: &BTreeMap<Cid, Older>, added: usize) -> Vec<Cid> {
    let excess = (older.len() + added).saturating_sub(MAX_OLDER);
    let mut by_age: Vec<(Time, Cid)> = Vec::new();
    if excess > 0 {
        by_age.extend(older.iter().map(|(cid, older)| (older.description.changed, *cid)));
        by_age.sort_unstable();
    }
    by_age.into_iter().take(excess).map(|(_, cid)| cid).collect()
}

/// Returns what became of each older version. `taken` holds the files of the shared folder.
pub(crate) fn states(
    taken: &BTreeMap<String, Taken>,
    older: &BTreeMap<Cid, Older>,
) -> BTreeMap<Cid, Replaced> {
    let current: BTreeSet<Cid> = taken.values().map(|taken| taken.cid).collect();
    let state = |(cid, older): (&Cid, &Older)| {
        let by = || taken.get(&older.path).map(|taken| taken.cid);
        let state = match current.contains(cid) {
            true => Replaced::IsBack,
            false => Replaced::By(by(), older.description.clone()),
        };
        (*cid, state)
    };
    older.iter().map(state).collect()
}

/// Describes a file of the shared folder.
pub(crate) fn describe(path: &str, fingerprint: Fingerprint, uploader: PeerId) -> Description {
    let filename = path.rsplit('/').next().unwrap_or(path).to_owned();
    let changed = Time(fingerprint.modified / 1_000_000_000);
    Description { filename, size: fingerprint.size, changed, uploader }
}

/// Returns what the uploader `me` states about an older version. Holders are told to let it go when some other peer keeps
/// the newer one.
pub(crate) fn withdraw(
    cid: &Cid,
    replaced: &Replaced,
    files: &BTreeMap<Cid, SharedFile>,
    at @ (_, me, _): (&Set, PeerId, Time),
) -> Statements {
    let (by, description) = match replaced {
        Replaced::IsBack => return undo(cid, at),
        Replaced::By(by, description) => (by, description),
    };
    let Some(file) = files.get(cid) else { return Statements::new() };
    let newer = by.and_then(|by| files.get(&by));
    match newer.is_some_and(|newer| newer.holders.keys().any(|holder| *holder != me)) {
        true => dismiss(file, description, at),
        false => take_back(cid, at),
    }
}

/// Returns the statements that tell holders to let a version go.
fn dismiss(
    file: &SharedFile,
    description: &Description,
    at @ (set, me, now): (&Set, PeerId, Time),
) -> Statements {
    let info = info_item(&file.cid, description);
    if set.may(Kind::Dismiss, &Station::Safe.item(&file.cid), me, now).is_err() {
        let mut statements = take_back(&file.cid, at);
        let is_said =
            |info: &Item| own(set, info.clone(), me, Kind::Dismiss, now.plus(LIFETIME / 2)).is_some();
        if let Some(info) = info.filter(|info| !is_said(info)) {
            statements.dismiss(info, Validity::stated(now, LIFETIME));
        }
        return statements;
    }
    let mut statements = Statements::new();
    let stated = [&file.holders, &file.verifiers, &file.proposers];
    let ends = stated.iter().flat_map(|signers| signers.values()).map(|end| end.unwrap_or(now.plus(LONGEST)));
    let seconds = ends.max().map_or(0, |end| end.since(now)).clamp(LIFETIME, LONGEST);
    for (station, signers) in [Station::Safe, Station::Verified, Station::Files].into_iter().zip(stated) {
        if station == Station::Safe || !signers.is_empty() {
            statements.dismiss(station.item(&file.cid), Validity::stated(now, seconds));
        }
    }
    // Nobody asks any more what it is.
    if let Some(info) = info.filter(|info| own(set, info.clone(), me, Kind::Propose, now).is_some()) {
        statements.propose(info, Validity::over(now));
    }
    statements
}

/// Returns the statements by which a node takes back what it states about a file, and denies nothing: the same once more, for
/// a second that is over.
pub(crate) fn take_back(cid: &Cid, (set, me, now): (&Set, PeerId, Time)) -> Statements {
    let mut statements = Statements::new();
    for item in [Station::Files, Station::Verified, Station::Safe].map(|station| station.item(cid)) {
        if own(set, item.clone(), me, Kind::Propose, now).is_some() {
            statements.propose(item, Validity::over(now));
        }
    }
    statements
}

/// Returns the statements by which an uploader undoes [`dismiss`]. That the file is shared, and what it is, is stated anew
/// as for every file.
fn undo(cid: &Cid, (set, me, now): (&Set, PeerId, Time)) -> Statements {
    let mut statements = Statements::new();
    for item in [Station::Safe, Station::Verified].map(|station| station.item(cid)) {
        if own(set, item.clone(), me, Kind::Dismiss, now).is_some() {
            statements.propose(item, Validity::over(now));
        }
    }
    statements
}

/// Returns whether the uploader of a file withdrew it: dismissed it, or its description, or discarded it. That is its own
/// word about its own file, so it counts in every swarm, whatever role the uploader has.
pub(crate) fn is_withdrawn(set: &Set, cid: &Cid, description: &Description, now: Time) -> bool {
    let has_said = |kind, item| own(set, item, description.uploader, kind, now).is_some();
    let is_dismissed = |item| has_said(Kind::Dismiss, item);
    is_dismissed(Station::Safe.item(cid))
        || has_said(Kind::Propose, Station::Discard.item(cid))
        || info_item(cid, description).is_some_and(is_dismissed)
}

/// Returns a signer's record about an item, if it is of this kind and holds.
fn own(set: &Set, item: Item, signer: PeerId, kind: Kind, now: Time) -> Option<&Record> {
    let record = set.get(&Key { item, signer })?;
    (record.kind() == kind && record.validity().contains(now)).then_some(record)
}

fn info_item(cid: &Cid, description: &Description) -> Option<Item> {
    Some(Item { bucket: buckets::info(cid), data: description.to_data().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::index;
    use crate::index::tests::{NOW, cid, description, peer, say};
    use dcache::{Keypair, Policy};
    use std::num::NonZeroU8;

    fn newer() -> Cid {
        buckets::parse("bafkreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap()
    }

    fn replaced() -> Replaced {
        Replaced::By(Some(newer()), description(1, "a.bag"))
    }

    fn describe_old(set: &mut Set) {
        let info = info_item(&cid(), &description(1, "a.bag")).unwrap();
        say(set, 1, Kind::Propose, info, LIFETIME);
    }

    /// Peer 1 says what it has to say about the old version.
    fn withdraw_now(set: &mut Set) -> bool {
        let statements = withdraw(&cid(), &replaced(), &index(set, NOW), (set, peer(1), NOW));
        let is_nothing = statements.is_empty();
        let key = Keypair::from_seed([1; 32]);
        for statement in statements.into_signable().unwrap() {
            let former = set.get(&Key { item: statement.item().clone(), signer: peer(1) }).map(Record::keep);
            let sequence = set.latest_sequence(peer(1)) + 1;
            let record = Record::sign(statement, &key, sequence, former.unwrap_or_default());
            set.admit_verified(record, NOW).unwrap();
        }
        !is_nothing
    }

    fn is_old_withdrawn(set: &Set) -> bool {
        is_withdrawn(set, &cid(), &description(1, "a.bag"), NOW)
    }

    #[test]
    fn an_older_version_is_withdrawn_once_somebody_else_keeps_the_newer_one() {
        let mut set = Set::default();
        describe_old(&mut set);
        for seed in [1, 2] {
            say(&mut set, seed, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
        }
        say(&mut set, 1, Kind::Propose, Station::Files.item(&newer()), LIFETIME);
        withdraw_now(&mut set);
        let later = index(&set, NOW.plus(1)).remove(&cid()).unwrap();
        assert_eq!(later.holders.into_keys().collect::<Vec<_>>(), [peer(2)], "the other copy stays so far");
        assert!(!is_old_withdrawn(&set));
        say(&mut set, 1, Kind::Propose, Station::Safe.item(&newer()), LIFETIME);
        withdraw_now(&mut set);
        assert!(!is_old_withdrawn(&set), "the uploader's own copy is not enough");
        say(&mut set, 3, Kind::Propose, Station::Safe.item(&newer()), LIFETIME);
        assert!(withdraw_now(&mut set) && is_old_withdrawn(&set));
        assert_eq!(index(&set, NOW).into_keys().collect::<Vec<_>>(), [newer()]);
        assert!(!withdraw_now(&mut set), "once is enough");
    }

    #[test]
    fn in_a_swarm_with_roots_an_uploader_without_a_role_withdraws_by_its_description() {
        let root = Keypair::from_seed([9; 32]).peer_id();
        let mut set =
            Set::new(Policy::new([root].into(), Vec::new(), NonZeroU8::MIN), dcache::Limits::default());
        describe_old(&mut set);
        for cid in [cid(), newer()] {
            say(&mut set, 9, Kind::Propose, Station::Safe.item(&cid), LIFETIME);
        }
        assert!(!is_old_withdrawn(&set));
        assert!(withdraw_now(&mut set) && is_old_withdrawn(&set));
        assert!(!withdraw_now(&mut set), "once is enough");
    }

    #[test]
    fn nobody_else_withdraws_a_file_and_what_is_back_at_its_path_is_shared_again() {
        let mut set = Set::default();
        say(&mut set, 2, Kind::Dismiss, Station::Safe.item(&cid()), LIFETIME);
        assert!(!is_old_withdrawn(&set));
        say(&mut set, 1, Kind::Dismiss, Station::Safe.item(&cid()), LIFETIME);
        assert!(is_old_withdrawn(&set));
        let statements = withdraw(&cid(), &Replaced::IsBack, &BTreeMap::new(), (&set, peer(1), NOW));
        assert_eq!(statements.items().collect::<Vec<_>>(), [&Station::Safe.item(&cid())]);
    }

    #[test]
    fn a_new_version_of_a_path_replaces_the_one_before() {
        let taken = |size, cid| Taken {
            fingerprint: Fingerprint { size, modified: NOW.0 * 1_000_000_000, inode_changed: None },
            cid,
        };
        let before = BTreeMap::from([("run/a.bag".to_owned(), taken(5, cid()))]);
        let new = |path: &str| vec![(path.to_owned(), taken(6, newer()))];
        assert!(replaced_of(&before, &new("b.bag")).is_empty());
        let older = replaced_of(&before, &new("run/a.bag"));
        assert_eq!(older[&cid()].description, description(1, "a.bag"));
        let now = BTreeMap::from([("run/a.bag".to_owned(), taken(6, newer()))]);
        assert_eq!(states(&now, &older)[&cid()], replaced());
        assert_eq!(states(&before, &older)[&cid()], Replaced::IsBack);
    }

    fn replaced_of(before: &BTreeMap<String, Taken>, new: &[(String, Taken)]) -> BTreeMap<Cid, Older> {
        super::replaced(before, new, peer(1)).into_iter().collect()
    }
}
