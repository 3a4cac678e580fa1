//! What this node has taken and kept, on its disk: so that nothing is hashed or checked again after a restart.

mod letting_go;
mod paths;

use crate::info::Description;
use crate::let_go::{LetGo, LetGoFiles, Reason};
use crate::quota::LeftOut;
use crate::settle::Fingerprint;
use crate::unlisted::{Unlisted, UnlistedFiles};
use crate::versions::{self, Older, Replaced};
use dcache::PeerId;
use ipfs::Cid;
use paths::{TakenRow, foreign};
use service::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Displayed, Table, TableError};
use tokio::sync::{Notify, watch};

/// A file of the shared folder that was added to IPFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// What it looked like.
    pub(crate) fingerprint: Fingerprint,
    /// Its directory.
    pub(crate) cid: Cid,
}

/// A file that is to be kept, and for which there is no room now. It is looked for room again every few seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom {
    /// Its directory.
    pub(crate) cid: Cid,
    /// Its name, as far as it is known.
    pub(crate) name: Option<String>,
    /// About how many bytes it needs.
    pub(crate) bytes: u64,
    /// What is full, in words for people.
    pub(crate) reason: String,
}

#[derive(Debug, Default)]
struct Tables {
    taken: BTreeMap<String, Taken>,
    /// Taken files that were uploaded by another identity, as far as that is known: by the key that this robot had before.
    foreign: BTreeMap<Cid, Option<PeerId>>,
    kept: BTreeMap<Cid, Description>,
    let_go: LetGoFiles,
    /// Files that were let go of and are still to be unpinned.
    releasing: BTreeSet<Cid>,
    older: BTreeMap<Cid, Older>,
    unlisted: UnlistedFiles,
    changing: BTreeSet<Cid>,
}

/// What was taken and kept, for the proposer and the replicator. A clone refers to the same ledger.
#[derive(Clone)]
pub(crate) struct Ledger {
    me: PeerId,
    taken_rows: Table<String, TakenRow>,
    kept_rows: Table<Displayed<Cid>, Description>,
    let_go_rows: Table<Displayed<Cid>, LetGo>,
    older_rows: Table<Displayed<Cid>, Older>,
    unlisted_rows: Table<Displayed<Cid>, Unlisted>,
    tables: Arc<Mutex<Tables>>,
    changed: Arc<Notify>,
    lost: Arc<Notify>,
    no_room: watch::Sender<Vec<NoRoom>>,
    left_out: watch::Sender<LeftOut>,
}

impl Ledger {
    /// Reads the ledger. Blocks.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn open(context: &Context) -> Result<Self, TableError> {
        Self::read(
            context.swarm.me(),
            context.table("taken"),
            context.table("kept"),
            context.table("let_go"),
            context.table("older"),
            context.table("unlisted"),
        )
    }

    fn read(
        me: PeerId,
        taken_rows: Table<String, TakenRow>,
        kept_rows: Table<Displayed<Cid>, Description>,
        let_go_rows: Table<Displayed<Cid>, LetGo>,
        older_rows: Table<Displayed<Cid>, Older>,
        unlisted_rows: Table<Displayed<Cid>, Unlisted>,
    ) -> Result<Self, TableError> {
        let kept = kept_rows.read_all()?.readable.into_iter();
        let kept = kept.map(|(Displayed(cid), description)| (cid, description)).collect();
        let taken = taken_rows.read_all()?.readable;
        let foreign = foreign(&taken, &kept, me);
        let taken = taken.into_iter().filter_map(|(path, row)| Some((path, row.read()?))).collect();
        let let_go: LetGoFiles =
            let_go_rows.read_all()?.readable.into_iter().map(|(Displayed(cid), row)| (cid, row)).collect();
        let older = older_rows.read_all()?.readable.into_iter();
        // A robot withdraws only files of its own, and not those of the identity that it had before.
        let older = older.filter(|(_, older)| older.description.uploader == me);
        let older = older.map(|(Displayed(cid), older)| (cid, older)).collect();
        let unlisted = unlisted_rows.read_all()?.readable.into_iter();
        let unlisted = unlisted.map(|(Displayed(cid), row)| (cid, row)).collect();
        let (changed, lost, no_room) = (Arc::default(), Arc::default(), watch::Sender::default());
        let (left_out, changing, releasing) = (watch::Sender::default(), BTreeSet::new(), BTreeSet::new());
        let tables = Arc::new(Mutex::new(Tables {
            taken,
            foreign,
            kept,
            let_go,
            releasing,
            older,
            unlisted,
            changing,
        }));
        Ok(Self {
            me,
            taken_rows,
            kept_rows,
            let_go_rows,
            older_rows,
            unlisted_rows,
            tables,
            changed,
            lost,
            no_room,
            left_out,
        })
    }

    /// The files taken from the shared folder, by path.
    pub(crate) fn taken(&self) -> BTreeMap<String, Taken> {
        self.tables().taken.clone()
    }

    /// What is pinned and was checked, with what it is.
    pub(crate) fn kept(&self) -> BTreeMap<Cid, Description> {
        self.tables().kept.clone()
    }

    /// What became of the older versions of files of the folder, and the taken files whose path is being changed.
    pub(crate) fn replaced(&self) -> (BTreeMap<Cid, Replaced>, BTreeSet<Cid>) {
        let tables = self.tables();
        let mut states = versions::states(&tables.taken, &tables.older);
        // One that is back at its path and is not to be shared is not stated anew.
        let is_withheld = |cid: &Cid| tables.let_go.get(cid).is_some_and(|row| row.reason != Reason::Deleted);
        states.retain(|cid, state| *state != Replaced::IsBack || !is_withheld(cid));
        (states, tables.changing.clone())
    }

    /// Notes which taken files are being changed.
    pub(crate) fn set_changing(&self, changing: BTreeSet<Cid>) {
        self.tables().changing = changing;
    }

    /// What is left out for want of records.
    pub(crate) fn left_out(&self) -> &watch::Sender<LeftOut> {
        &self.left_out
    }

    /// The files for which there is no room now.
    pub(crate) fn no_room(&self) -> watch::Receiver<Vec<NoRoom>> {
        self.no_room.subscribe()
    }

    /// Tells for which files there is no room now; true when these are others than before.
    pub(crate) fn tell_no_room(&self, files: Vec<NoRoom>) -> bool {
        let is_other =
            |before: &Vec<NoRoom>| !before.iter().map(|file| file.cid).eq(files.iter().map(|file| file.cid));
        self.no_room.send_if_modified(|before| {
            let is_other = is_other(before);
            *before = files.clone();
            is_other
        })
    }

    /// Notes that files of the folder were added and pinned. What was deleted before is back.
    pub(crate) async fn take(&self, files: Vec<(String, Taken, Description)>) -> Result<(), TableError> {
        let kept = |(_, taken, description): &(String, Taken, Description)| {
            (Displayed(taken.cid), Some(description.clone()))
        };
        let taken: Vec<_> = files.iter().map(|(path, taken, _)| (path.clone(), *taken)).collect();
        self.replace(&taken).await?;
        // What is taken must be kept, not the other way round.
        self.kept_rows.write_async(&files.iter().map(kept).collect::<Vec<_>>()).await?;
        self.write_taken(taken).await?;
        self.take_back_rows(files.iter().map(|(_, taken, _)| taken.cid).collect()).await?;
        let mut tables = self.tables();
        for (_, taken, description) in files {
            tables.kept.insert(taken.cid, description);
            tables.let_go.remove(&taken.cid);
            tables.releasing.remove(&taken.cid);
        }
        drop(tables);
        self.changed.notify_one();
        Ok(())
    }

    /// Notes that a file of somebody else was checked and pinned.
    pub(crate) async fn keep(&self, cid: Cid, description: Description) -> Result<(), TableError> {
        self.kept_rows.write_async(&[(Displayed(cid), Some(description.clone()))]).await?;
        self.tables().kept.insert(cid, description);
        Ok(())
    }

    /// Notes that files are not kept any more.
    pub(crate) async fn drop_kept(&self, cids: &[Cid]) -> Result<(), TableError> {
        let removed: Vec<_> = cids.iter().map(|cid| (Displayed(*cid), None)).collect();
        self.kept_rows.write_async(&removed).await?;
        let mut tables = self.tables();
        for cid in cids {
            tables.kept.remove(cid);
        }
        drop(tables);
        self.lost.notify_one();
        Ok(())
    }

    /// Waits until something is not kept any more that may be in the folder.
    pub(crate) async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Tells the replicator that something changed besides what is taken.
    pub(crate) fn tell_changed(&self) {
        self.changed.notify_one();
    }

    /// Waits until the proposer took something.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // The tables are whole at every moment at which a panic could happen.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::index::tests::{cid, description, peer};
    use store::Store;

    /// Opens the ledger of peer 1.
    pub(in crate::ledger) fn open(file: &std::path::Path) -> Ledger {
        open_as(1, file)
    }

    pub(in crate::ledger) fn open_as(seed: u8, file: &std::path::Path) -> Ledger {
        let store = Arc::new(Store::open(file).unwrap().0);
        let (taken, kept) = (store.table("logs/taken"), store.table("logs/kept"));
        let (let_go, older) = (store.table("logs/let_go"), store.table("logs/older"));
        Ledger::read(peer(seed), taken, kept, let_go, older, store.table("logs/unlisted")).unwrap()
    }

    #[tokio::test]
    async fn is_there_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let taken =
            Taken { fingerprint: Fingerprint { size: 5, modified: 7, inode_changed: None }, cid: cid() };
        {
            let ledger = open(&file);
            let of = |name: &str| (name.to_owned(), taken, description(1, name));
            ledger.take(vec![of("a.bag"), of("b.bag")]).await.unwrap();
            ledger.forget_paths(vec!["b.bag".into()]).await.unwrap();
            ledger.changed().await;
        }
        let ledger = open(&file);
        assert_eq!(ledger.taken(), BTreeMap::from([("a.bag".to_owned(), taken)]));
        assert_eq!(ledger.kept(), BTreeMap::from([(cid(), description(1, "b.bag"))]));
        ledger.drop_kept(&[cid()]).await.unwrap();
        assert!(ledger.kept().is_empty());
    }

    #[tokio::test]
    async fn an_older_version_of_a_path_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let taken =
            |size, cid| Taken { fingerprint: Fingerprint { size, modified: 7, inode_changed: None }, cid };
        let newer =
            crate::buckets::parse("bafkreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        {
            let ledger = open(&file);
            for taken in [taken(5, cid()), taken(6, newer)] {
                ledger.take(vec![("a.bag".to_owned(), taken, description(1, "a.bag"))]).await.unwrap();
            }
        }
        let (replaced, _) = open(&file).replaced();
        let [(old, Replaced::By(by, description))] = &replaced.into_iter().collect::<Vec<_>>()[..] else {
            panic!("one older version")
        };
        assert_eq!((*old, *by, description.size), (cid(), Some(newer), 5));
    }
}
