//! Versions of one path: the statements of an uploader about a version that it replaced, and their effect on holders.
//!
//! The uploader dismisses the CID of the older version in `share/safe`, and in the earlier buckets when another peer
//! proposes it there. Then no peer lists or fetches it any more. If the uploader has no right to dismiss it there, it
//! dismisses its own description in `share/info/CID`. A holder unpins a file that the uploader dismisses in one of
//! these ways or discards.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::buckets::{self, LIFETIME, Station};
use crate::index::SharedFile;
use crate::info::Description;
use crate::ledger::Taken;
use crate::settle::Fingerprint;
use crate::volume::{SharedPath, VolumeId};
use dcache::{Item, Key, Kind, PeerId, Record, Set, Statements, Time, Validity};
use ipfs::Cid;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Maximum validity of a statement, in seconds.
const LONGEST: u64 = dcache::buckets::LONGEST_LIFETIME;

/// Maximum number of older versions that are remembered. Statements about them are made as long as other peers keep
/// them, usually for days.
const MAX_OLDER: usize = 4096;

/// An older version of an own file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Older {
    /// Volume of the file. Rows of earlier versions of the daemon lack it.
    #[serde(default)]
    pub(crate) volume: VolumeId,
    /// Path of the file, relative to the root of the volume.
    pub(crate) path: String,
    /// Description of the file in this version.
    pub(crate) description: Description,
}

/// State of an older version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Replaced {
    /// The same version is in the shared folder again.
    IsBack,
    /// CID of the version that is now at the path, or `None` if no file is there. Then the description of the older
    /// version.
    By(Option<Cid>, Description),
    /// A user of this node withdrew the file. Then its description.
    Unshared(Description),
}

/// Returns the older versions that these new files of `uploader` replace. `taken` holds the files before the change.
pub(crate) fn replaced(
    taken: &BTreeMap<SharedPath, Taken>,
    new: &[(SharedPath, Taken)],
    uploader: PeerId,
) -> Vec<(Cid, Older)> {
    let older = |(file, now): &(SharedPath, Taken)| {
        let before = taken.get(file).filter(|before| before.cid != now.cid)?;
        let SharedPath { volume, path } = file.clone();
        let description = describe(&path, before.fingerprint, uploader);
        Some((before.cid, Older { volume, path, description }))
    };
    new.iter().filter_map(older).collect()
}

/// Returns the older versions to forget before `added` new ones are added: those with the oldest change times.
pub(crate) fn forgotten(older: &BTreeMap<Cid, Older>, added: usize) -> Vec<Cid> {
    let excess = (older.len() + added).saturating_sub(MAX_OLDER);
    let mut by_age: Vec<(Time, Cid)> = Vec::new();
    if excess > 0 {
        by_age.extend(older.iter().map(|(cid, older)| (older.description.changed, *cid)));
        by_age.sort_unstable();
    }
    by_age.into_iter().take(excess).map(|(_, cid)| cid).collect()
}

/// Returns the state of each older version. `taken` holds the files of the shared folder.
pub(crate) fn states(
    taken: &BTreeMap<SharedPath, Taken>,
    older: &BTreeMap<Cid, Older>,
) -> BTreeMap<Cid, Replaced> {
    let current: BTreeSet<Cid> = taken.values().map(|taken| taken.cid).collect();
    let state = |(cid, older): (&Cid, &Older)| {
        let by = || taken.get(&SharedPath::new(older.volume, older.path.as_str())).map(|taken| taken.cid);
        let state = match current.contains(cid) {
            true => Replaced::IsBack,
            false => Replaced::By(by(), older.description.clone()),
        };
        (*cid, state)
    };
    older.iter().map(state).collect()
}

/// Returns the description of the file at this path of a volume.
pub(crate) fn describe(path: &str, fingerprint: Fingerprint, uploader: PeerId) -> Description {
    let filename = path.rsplit('/').next().unwrap_or(path).to_owned();
    let changed = Time(fingerprint.modified / 1_000_000_000);
    let (path, size) = (path.parse().ok(), fingerprint.size);
    Description { filename, path, size, changed, uploader, recording: None }.fitting()
}

/// Returns the statements of the uploader `me` about an older version. Holders should unpin it once another peer keeps
/// the newer version.
pub(crate) fn withdraw(
    cid: &Cid,
    replaced: &Replaced,
    files: &BTreeMap<Cid, SharedFile>,
    at @ (_, me, _): (&Set, PeerId, Time),
) -> Statements {
    let (by, description) = match replaced {
        Replaced::IsBack => return undo(cid, at),
        Replaced::Unshared(description) => {
            return files.get(cid).map(|file| dismiss(file, description, at)).unwrap_or_default();
        }
        Replaced::By(by, description) => (by, description),
    };
    let Some(file) = files.get(cid) else { return Statements::new() };
    let newer = by.and_then(|by| files.get(&by));
    match newer.is_some_and(|newer| newer.holders.keys().any(|holder| *holder != me)) {
        true => dismiss(file, description, at),
        false => take_back(cid, at),
    }
}

/// Returns the statements that make holders unpin a version.
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
            let has_described = set.get(&Key { item: info.clone(), signer: me }).is_some();
            match has_described || set.may(Kind::Dismiss, &info, me, now).is_ok() {
                true => statements.dismiss(info, Validity::stated(now, LIFETIME)),
                // A signer may only take back what it stated. Its description is gone after a denial that was taken back,
                // so it states it again, and takes it back in the next decision.
                false => statements.propose(info, Validity::stated(now, LIFETIME)),
            };
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
    // The description is not needed any more.
    if let Some(info) = info.filter(|info| own(set, info.clone(), me, Kind::Propose, now).is_some()) {
        statements.propose(info, Validity::over(now));
    }
    statements
}

/// Returns the statements that retract the proposals of a node about a file without denying those of other peers.
/// Each statement repeats a proposal with a validity that is already over.
pub(crate) fn take_back(cid: &Cid, (set, me, now): (&Set, PeerId, Time)) -> Statements {
    let mut statements = Statements::new();
    for item in [Station::Files, Station::Verified, Station::Safe].map(|station| station.item(cid)) {
        if own(set, item.clone(), me, Kind::Propose, now).is_some() {
            statements.propose(item, Validity::over(now));
        }
    }
    statements
}

/// Returns the statements by which an uploader undoes [`dismiss`]. The file is proposed and described again like every
/// other file.
fn undo(cid: &Cid, (set, me, now): (&Set, PeerId, Time)) -> Statements {
    let mut statements = Statements::new();
    for item in [Station::Safe, Station::Verified].map(|station| station.item(cid)) {
        if own(set, item.clone(), me, Kind::Dismiss, now).is_some() {
            statements.propose(item, Validity::over(now));
        }
    }
    statements
}

/// Returns whether the uploader of a file withdrew it: it dismissed the file or its description, or discarded the file.
/// Statements of an uploader about its own file are valid in every swarm, whether the uploader has a role or not.
pub fn is_withdrawn(set: &Set, cid: &Cid, description: &Description, now: Time) -> bool {
    let has_said = |kind, item| own(set, item, description.uploader, kind, now).is_some();
    let is_dismissed = |item| has_said(Kind::Dismiss, item);
    is_dismissed(Station::Safe.item(cid))
        || has_said(Kind::Propose, Station::Discard.item(cid))
        || info_item(cid, description).is_some_and(is_dismissed)
}

/// Returns a signer's record about an item, if it is of this kind and valid at `now`.
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
    use crate::ledger::tests::at;
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

    /// Publishes the statements of peer 1 about the old version. Returns whether there are any.
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
    fn an_older_version_is_withdrawn_once_another_peer_keeps_the_newer_one() {
        let mut set = Set::default();
        describe_old(&mut set);
        for seed in [1, 2] {
            say(&mut set, seed, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
        }
        say(&mut set, 1, Kind::Propose, Station::Files.item(&newer()), LIFETIME);
        withdraw_now(&mut set);
        let later = index(&set, NOW.plus(1)).remove(&cid()).unwrap();
        assert_eq!(
            later.holders.into_keys().collect::<Vec<_>>(),
            [peer(2)],
            "the copy of peer 2 stays for now"
        );
        assert!(!is_old_withdrawn(&set));
        say(&mut set, 1, Kind::Propose, Station::Safe.item(&newer()), LIFETIME);
        withdraw_now(&mut set);
        assert!(!is_old_withdrawn(&set), "the uploader's own copy is not enough");
        say(&mut set, 3, Kind::Propose, Station::Safe.item(&newer()), LIFETIME);
        assert!(withdraw_now(&mut set) && is_old_withdrawn(&set));
        assert_eq!(index(&set, NOW).into_keys().collect::<Vec<_>>(), [newer()]);
        assert!(!withdraw_now(&mut set), "the withdrawal is stated only once");
    }

    #[test]
    fn an_uploader_without_a_role_withdraws_a_version_by_dismissing_its_description() {
        let root = Keypair::from_seed([9; 32]).peer_id();
        let mut set =
            Set::new(Policy::new([root].into(), Vec::new(), NonZeroU8::MIN), dcache::Limits::default());
        describe_old(&mut set);
        for cid in [cid(), newer()] {
            say(&mut set, 9, Kind::Propose, Station::Safe.item(&cid), LIFETIME);
        }
        assert!(!is_old_withdrawn(&set));
        assert!(withdraw_now(&mut set) && is_old_withdrawn(&set));
        assert!(!withdraw_now(&mut set), "the withdrawal is stated only once");
    }

    #[test]
    fn an_uploader_that_was_denied_for_a_while_describes_its_file_again_to_withdraw_it() {
        let root = Keypair::from_seed([9; 32]).peer_id();
        let mut set =
            Set::new(Policy::new([root].into(), Vec::new(), NonZeroU8::MIN), dcache::Limits::default());
        // The denial removed the description by the uploader. The others describe and keep the file.
        say(&mut set, 9, Kind::Propose, info_item(&cid(), &description(1, "a.bag")).unwrap(), LIFETIME);
        for cid in [cid(), newer()] {
            say(&mut set, 9, Kind::Propose, Station::Safe.item(&cid), LIFETIME);
        }
        assert!(withdraw_now(&mut set) && !is_old_withdrawn(&set), "it describes the file");
        assert!(withdraw_now(&mut set) && is_old_withdrawn(&set), "it takes the description back");
        assert!(!withdraw_now(&mut set), "the withdrawal is stated only once");
    }

    #[test]
    fn only_the_uploader_withdraws_a_file_and_shares_it_again_when_it_is_back() {
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
        let before = BTreeMap::from([(at("run/a.bag"), taken(5, cid()))]);
        let new = |path: &str| vec![(at(path), taken(6, newer()))];
        assert!(replaced_of(&before, &new("b.bag")).is_empty());
        let older = replaced_of(&before, &new("run/a.bag"));
        let described = Description { path: "run/a.bag".parse().ok(), ..description(1, "a.bag") };
        assert_eq!(older[&cid()].description, described);
        let now = BTreeMap::from([(at("run/a.bag"), taken(6, newer()))]);
        assert_eq!(states(&now, &older)[&cid()], Replaced::By(Some(newer()), described));
        assert_eq!(states(&before, &older)[&cid()], Replaced::IsBack);
    }

    fn replaced_of(
        before: &BTreeMap<SharedPath, Taken>,
        new: &[(SharedPath, Taken)],
    ) -> BTreeMap<Cid, Older> {
        super::replaced(before, new, peer(1)).into_iter().collect()
    }
}
