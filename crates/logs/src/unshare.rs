//! Files that a user of this node withdraws from the swarm: `unshare`, and `share` to undo it.
//!
//! Only the uploader of a file can withdraw it. It dismisses the file like an older version of it (see
//! [`versions`](crate::versions)), so every honest holder unpins it, also one that hears of it later. A file that lies in
//! a shared folder stays there, and nothing at its path is shared until `share`.

use crate::buckets;
use crate::index::{SharedFile, index, index_of};
use crate::info::Description;
use crate::ledger::Ledger;
use crate::protocol::{Answer, MAX_PEERS, MAX_UNSHARED_ROWS, UnsharedRow};
use crate::removal::claims;
use crate::versions::describe;
use crate::volume::{SharedPath, VolumeId};
use dcache::{PeerId, Set, Time};
use ipfs::Cid;
use serde::{Deserialize, Serialize};
use service::{Failure, FailureKind};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use store::TableError;
use swarm::Swarm;

/// Maximum number of withdrawn files. A row takes some 400 bytes on the disk.
pub(crate) const MAX_UNSHARED: usize = 4096;
/// Maximum number of holders that are remembered of a withdrawn file. In the open swarm, strangers may claim to hold it.
const MAX_HOLDERS: usize = 256;
/// Maximum number of paths or CIDs in the message about an ambiguous name.
const MAX_NAMED: usize = 10;

/// A file that a user of this node withdrew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Unshared {
    /// Where the file is; `None` when it is in no shared folder any more.
    pub(crate) file: Option<SharedPath>,
    /// Description of the file.
    pub(crate) description: Description,
    /// Time of the withdrawal, by the clock of this node.
    pub(crate) time: Time,
    /// Peers that stated then that they keep the file.
    pub(crate) holders: Vec<PeerId>,
}

impl Unshared {
    /// Returns the path of the file, or a path at which no file can be.
    pub(crate) fn place(&self) -> SharedPath {
        self.file.clone().unwrap_or_else(|| SharedPath::new(VolumeId::UNKNOWN, ""))
    }
}

/// Withdraws the file of this node that `text` names.
pub(crate) async fn unshare(swarm: &Swarm, ledger: &Ledger, text: &str) -> Result<Answer, Failure> {
    let (me, kept, text) = (swarm.me(), ledger.kept(), text.to_owned());
    let found = match in_folders(ledger, &text)? {
        Some((file, taken)) => {
            if ledger.is_foreign(&taken.cid) {
                return Err(is_foreign(&text));
            }
            let description =
                kept.get(&taken.cid).cloned().unwrap_or_else(|| describe(&file.path, taken.fingerprint, me));
            Some((taken.cid, Some(file), description))
        }
        None => None,
    };
    let read = move |set: &Set, now: Time| {
        let found = match found {
            Some(found) => found,
            None => of_swarm(set, &text, me, now)?,
        };
        let (cid, file, description) = found;
        Ok::<_, Failure>((cid, holders(set, &cid, me, now), file, description, now))
    };
    let (cid, holders, file, description, time) = swarm.read(read).await??;
    if description.uploader != me {
        return Err(is_foreign(&description.filename));
    }
    let row = Unshared { file, description, time, holders };
    ledger.unshare(vec![(cid, row)]).await.map_err(|error| disk(&error))?;
    tracing::info!(%cid, "a user of this robot unshared a file");
    rows(swarm, ledger, Some(cid)).await
}

/// Shares a withdrawn file again.
pub(crate) async fn share(ledger: &Ledger, text: &str) -> Result<Answer, Failure> {
    let named = |(cid, row): &(&Cid, &Unshared)| {
        let path = row.file.as_ref().and_then(|file| ledger.file_at(file));
        cid.to_string() == text
            || row.file.as_ref().is_some_and(|file| is_end_of(text, &file.path))
            || path.is_some_and(|path| path == Path::new(text))
            || row.description.filename == text
    };
    let unshared = ledger.unshared();
    let (cid, row) = match unshared.iter().filter(named).collect::<Vec<_>>()[..] {
        [one] => one,
        [] => {
            let message = format!(
                "{text:?} is not unshared; `unshare` without a file lists the unshared files. To share a new file, put it \
                 into a shared folder"
            );
            return Err(Failure::new(FailureKind::Wrong, message));
        }
        ref several => return Err(ambiguous(text, several.iter().map(|(cid, _)| cid.to_string()))),
    };
    let answer = Answer::SharedAgain { file: row_of(ledger, (cid, row), &BTreeSet::new()) };
    ledger.share_again(*cid).await.map_err(|error| disk(&error))?;
    tracing::info!(%cid, "a user of this robot shared an unshared file again");
    Ok(answer)
}

/// Returns the withdrawn files, or only the one with this CID.
pub(crate) async fn list(swarm: &Swarm, ledger: &Ledger, cid: Option<String>) -> Result<Answer, Failure> {
    let wrong =
        |text: &str| Failure::new(FailureKind::Wrong, format!("{text:?} is not the CID of a shared file"));
    let only = cid.map(|text| buckets::parse(&text).ok_or_else(|| wrong(&text))).transpose()?;
    rows(swarm, ledger, only).await
}

/// Returns the withdrawn files, or only one of them, with the peers that still claim to hold them.
async fn rows(swarm: &Swarm, ledger: &Ledger, only: Option<Cid>) -> Result<Answer, Failure> {
    let mut unshared: Vec<(Cid, Unshared)> = ledger.unshared().into_iter().collect();
    unshared.retain(|(cid, _)| only.is_none_or(|only| only == *cid));
    unshared.sort_by_key(|(cid, row)| (std::cmp::Reverse(row.time), *cid));
    let count = unshared.len();
    unshared.truncate(MAX_UNSHARED_ROWS);
    let (me, cids): (_, Vec<Cid>) = (swarm.me(), unshared.iter().map(|(cid, _)| *cid).collect());
    let read = move |set: &Set, now: Time| {
        cids.iter().map(|cid| holders(set, cid, me, now).into_iter().collect()).collect::<Vec<BTreeSet<_>>>()
    };
    let claimed = swarm.read(read).await?;
    let files =
        unshared.iter().zip(&claimed).map(|((cid, row), claimed)| row_of(ledger, (cid, row), claimed));
    Ok(Answer::Unshared { files: files.collect(), count })
}

/// Describes a withdrawn file. `claimed` holds the peers that state now that they keep it.
fn row_of(ledger: &Ledger, (cid, row): (&Cid, &Unshared), claimed: &BTreeSet<PeerId>) -> UnsharedRow {
    let confirmed = row.holders.iter().filter(|holder| !claimed.contains(holder));
    UnsharedRow {
        cid: cid.to_string(),
        name: row.description.filename.clone(),
        bytes: row.description.size,
        path: row.file.as_ref().and_then(|file| Some(ledger.file_at(file)?.to_string_lossy().into_owned())),
        time: row.time,
        confirmed: confirmed.take(MAX_PEERS).copied().collect(),
        waiting: claimed.iter().take(MAX_PEERS).copied().collect(),
    }
}

/// Finds the file of the shared folders that has this CID, absolute path, or end of a path.
fn in_folders(ledger: &Ledger, text: &str) -> Result<Option<(SharedPath, crate::ledger::Taken)>, Failure> {
    let named = |file: &SharedPath, cid: &Cid| {
        cid.to_string() == text
            || is_end_of(text, &file.path)
            || ledger.file_at(file).is_some_and(|path| path == Path::new(text))
    };
    let taken = ledger.taken();
    let found: Vec<_> = taken.iter().filter(|(file, taken)| named(file, &taken.cid)).collect();
    let cids: BTreeSet<Cid> = found.iter().map(|(_, taken)| taken.cid).collect();
    match found[..] {
        [] => Ok(None),
        [(file, taken), ..] if cids.len() == 1 => Ok(Some((file.clone(), *taken))),
        ref several => Err(ambiguous(text, several.iter().map(|(file, _)| file.path.clone()))),
    }
}

/// Finds the file that this node uploaded and that is in no shared folder any more, by its name or CID.
fn of_swarm(
    set: &Set,
    text: &str,
    me: PeerId,
    now: Time,
) -> Result<(Cid, Option<SharedPath>, Description), Failure> {
    let files = match buckets::parse(text) {
        Some(cid) => index_of(set, [&cid], now),
        None => index(set, now),
    };
    let is_named =
        |file: &SharedFile, known: &Description| file.cid.to_string() == text || known.filename == text;
    let mut is_known = false;
    let mut own: BTreeMap<Cid, Description> = BTreeMap::new();
    for file in files.values() {
        if let Some(known) = file.description.as_ref().filter(|known| is_named(file, known)) {
            is_known = true;
            if known.uploader == me {
                own.insert(file.cid, known.clone());
            }
        }
    }
    match own.len() {
        1 => own.into_iter().next().map(|(cid, known)| (cid, None, known)).ok_or_else(|| unknown(text)),
        0 if is_known => Err(Failure::new(
            FailureKind::NotAllowed,
            format!(
                "{text:?} was shared by another robot, and only that robot can unshare it; `discard` removes the files of \
                 others"
            ),
        )),
        0 => Err(unknown(text)),
        _ => Err(ambiguous(text, own.into_keys().map(|cid| cid.to_string()))),
    }
}

/// Returns the peers other than `me` that state that they keep a file.
fn holders(set: &Set, cid: &Cid, me: PeerId, now: Time) -> Vec<PeerId> {
    let item = buckets::Station::Safe.item(cid);
    let signers = set.records_about(&item).iter().map(dcache::Record::signer);
    let holders: BTreeSet<PeerId> =
        signers.filter(|peer| *peer != me && claims(set, cid, *peer, now)).collect();
    holders.into_iter().take(MAX_HOLDERS).collect()
}

/// Returns whether a text is a path, or its last names.
pub(crate) fn is_end_of(text: &str, path: &str) -> bool {
    path.strip_suffix(text).is_some_and(|rest| !text.is_empty() && (rest.is_empty() || rest.ends_with('/')))
}

fn unknown(text: &str) -> Failure {
    let message = format!("this robot shares no file {text:?}; `report` lists the files");
    Failure::new(FailureKind::Wrong, message)
}

fn is_foreign(text: &str) -> Failure {
    let message =
        format!("{text:?} was shared under another key, and only that key can unshare it; delete it here");
    Failure::new(FailureKind::NotAllowed, message)
}

fn ambiguous(text: &str, of: impl Iterator<Item = String>) -> Failure {
    let named: Vec<String> = of.take(MAX_NAMED).collect();
    let message =
        format!("several files are called {text:?}; give the path or CID of one: {}", named.join(", "));
    Failure::new(FailureKind::Wrong, message)
}

fn disk(error: &TableError) -> Failure {
    Failure::new(FailureKind::Disk, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::{LIFETIME, Station, info};
    use crate::index::tests::{NOW, cid, description, peer, publish, say};
    use crate::versions::{Replaced, is_withdrawn, withdraw};
    use dcache::{Item, Kind, Statements};

    /// Returns a set in which peer 1 shared a file, and the peers 1 to 3 keep it.
    fn held() -> Set {
        let mut set = Set::default();
        let data = description(1, "a.bag").to_data().unwrap();
        say(&mut set, 1, Kind::Propose, Item { bucket: info(&cid()), data }, LIFETIME);
        for seed in [1, 2, 3] {
            say(&mut set, seed, Kind::Propose, Station::Safe.item(&cid()), LIFETIME);
        }
        set
    }

    fn withdraw_as(seed: u8, set: &Set, now: Time) -> Statements {
        let files = index(set, now);
        withdraw(&cid(), &Replaced::Unshared(description(1, "a.bag")), &files, (set, peer(seed), now))
    }

    #[test]
    fn a_holder_that_was_away_for_a_day_drops_the_file_as_well() {
        let mut set = held();
        let statements = withdraw_as(1, &set, NOW);
        publish(&mut set, 1, statements, NOW);
        assert!(index(&set, NOW).is_empty(), "it is not listed any more");
        assert_eq!(holders(&set, &cid(), peer(1), NOW), [peer(2), peer(3)], "they have not confirmed yet");
        let day = NOW.plus(24 * 3600);
        assert!(is_withdrawn(&set, &cid(), &description(1, "a.bag"), day));
        // A holder retracts its statement when it drops the file.
        let retracted = crate::removal::retract(&set, &cid(), peer(3), day);
        publish(&mut set, 3, retracted, day);
        assert_eq!(holders(&set, &cid(), peer(1), day.plus(1)), [peer(2)]);
        // A holder that was away even longer states again that it keeps the file. The uploader withdraws it again.
        let late = NOW.plus(LIFETIME + 60);
        let mut again = Statements::new();
        again.propose(Station::Safe.item(&cid()), dcache::Validity::stated(late, LIFETIME));
        publish(&mut set, 2, again, late);
        assert!(!is_withdrawn(&set, &cid(), &description(1, "a.bag"), late));
        let statements = withdraw_as(1, &set, late);
        publish(&mut set, 1, statements, late);
        assert!(is_withdrawn(&set, &cid(), &description(1, "a.bag"), late));
    }

    #[test]
    fn the_withdrawal_of_a_stranger_changes_nothing() {
        let mut set = held();
        let statements = withdraw_as(9, &set, NOW);
        publish(&mut set, 9, statements, NOW);
        assert!(!is_withdrawn(&set, &cid(), &description(1, "a.bag"), NOW));
        let refused = of_swarm(&held(), "a.bag", peer(9), NOW).unwrap_err();
        assert!(refused.message.contains("only that robot can unshare it"), "{refused:?}");
        let refused = of_swarm(&held(), "b.bag", peer(1), NOW).unwrap_err();
        assert!(refused.message.contains("shares no file"), "{refused:?}");
    }

    #[test]
    fn an_own_file_that_was_deleted_here_is_found_by_its_name_and_cid() {
        for text in ["a.bag".to_owned(), cid().to_string()] {
            let (found, file, known) = of_swarm(&held(), &text, peer(1), NOW).unwrap();
            assert_eq!((found, file, known), (cid(), None, description(1, "a.bag")));
        }
    }

    #[test]
    fn the_end_of_a_path_consists_of_whole_names() {
        for (text, path, is_end) in [
            ("a.bag", "a.bag", true),
            ("a.bag", "run/a.bag", true),
            ("run/a.bag", "x/run/a.bag", true),
            ("a.bag", "xa.bag", false),
            ("/a.bag", "run/a.bag", false),
            ("", "a.bag", false),
        ] {
            assert_eq!(is_end_of(text, path), is_end, "{text} {path}");
        }
    }
}
