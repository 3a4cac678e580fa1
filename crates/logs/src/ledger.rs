//! The persistent tables of the files of the shared folder (*taken* files) and of all files that this node keeps.
//! Because of them, the files need not be hashed and checked again after a restart.

mod letting_go;
mod paths;
mod unshared;
mod volumes;

use crate::catalog::listing::Listing;
use crate::info::Description;
use crate::let_go::{LetGo, LetGoFiles, Reason};
use crate::quota::LeftOut;
use crate::settle::Fingerprint;
use crate::unlisted::{Unlisted, UnlistedFiles};
use crate::unshare::Unshared;
use crate::versions::{self, Older, Replaced};
use crate::volume::{SharedPath, Volume, VolumeId};
use dcache::PeerId;
use ipfs::Cid;
use paths::{TakenRow, foreign};
use service::Context;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{Displayed, Table, TableError};
use tokio::sync::{Notify, watch};
pub(crate) use volumes::{ForgetError, Missing};

/// A file of a shared folder that was added to IPFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Fingerprint of the file when it was added.
    pub(crate) fingerprint: Fingerprint,
    /// CID of the file's IPFS directory.
    pub(crate) cid: Cid,
}

/// A file that this node should keep, but for which there is no space now. The space is checked again every few
/// seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoRoom {
    /// CID of the file's IPFS directory.
    pub(crate) cid: Cid,
    /// Name of the file, if known.
    pub(crate) name: Option<String>,
    /// Estimate of the space that the file needs, in bytes.
    pub(crate) bytes: u64,
    /// Reason for the lack of space, as a sentence for people.
    pub(crate) reason: String,
}

#[derive(Debug, Default)]
struct Tables {
    taken: BTreeMap<SharedPath, Taken>,
    volumes: BTreeMap<VolumeId, Volume>,
    /// Path of each shared folder, with the volume that it shows now.
    shown: BTreeMap<PathBuf, VolumeId>,
    /// Volumes that appeared or vanished, with their shared folder, and whose rows are not written yet.
    unsaved: BTreeMap<VolumeId, PathBuf>,
    /// Taken files that cannot be read now, or whose blocks are to be checked: files of missing volumes, and files that
    /// lack blocks. The statements about them are neither retracted nor renewed.
    away: BTreeSet<SharedPath>,
    /// Taken files that another identity uploaded, such as the key that this robot had before. `None` when the uploader
    /// is unknown.
    foreign: BTreeMap<Cid, Option<PeerId>>,
    kept: BTreeMap<Cid, Description>,
    let_go: LetGoFiles,
    /// Files that this node let go of but that are not unpinned yet.
    releasing: BTreeSet<Cid>,
    older: BTreeMap<Cid, Older>,
    /// Files that a user withdrew from the swarm.
    unshared: BTreeMap<Cid, Unshared>,
    unlisted: UnlistedFiles,
    changing: BTreeSet<Cid>,
}

/// The tables on the disk.
#[derive(Clone)]
struct Rows {
    taken: Table<Displayed<SharedPath>, TakenRow>,
    volumes: Table<Displayed<VolumeId>, Volume>,
    kept: Table<Displayed<Cid>, Description>,
    let_go: Table<Displayed<Cid>, LetGo>,
    older: Table<Displayed<Cid>, Older>,
    unshared: Table<Displayed<Cid>, Unshared>,
    unlisted: Table<Displayed<Cid>, Unlisted>,
}

/// The tables of taken and kept files, shared by the proposer and the replicator. A clone refers to the same ledger.
#[derive(Clone)]
pub(crate) struct Ledger {
    me: PeerId,
    rows: Rows,
    tables: Arc<Mutex<Tables>>,
    changed: Arc<Notify>,
    lost: Arc<Notify>,
    no_room: watch::Sender<Vec<NoRoom>>,
    left_out: watch::Sender<LeftOut>,
    listing: watch::Sender<Listing>,
    catalogued: watch::Sender<Option<Arc<BTreeSet<Cid>>>>,
}

impl Ledger {
    /// Reads the ledger from the disk. This call blocks.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn open(context: &Context) -> Result<Self, TableError> {
        let rows = Rows {
            taken: context.table("taken"),
            volumes: context.table("volumes"),
            kept: context.table("kept"),
            let_go: context.table("let_go"),
            older: context.table("older"),
            unshared: context.table("unshared"),
            unlisted: context.table("unlisted"),
        };
        Self::read(context.swarm.me(), rows)
    }

    fn read(me: PeerId, rows: Rows) -> Result<Self, TableError> {
        let kept = rows.kept.read_all()?.readable.into_iter();
        let kept = kept.map(|(Displayed(cid), description)| (cid, description)).collect();
        let taken = rows.taken.read_all()?.readable;
        let foreign = foreign(&taken, &kept, me);
        let taken: BTreeMap<SharedPath, Taken> =
            taken.into_iter().filter_map(|(Displayed(file), row)| Some((file, row.read()?))).collect();
        let volumes = rows.volumes.read_all()?.readable.into_iter();
        let volumes = volumes.map(|(Displayed(id), volume)| (id, volume)).collect();
        // Until its folder was scanned, nothing is known about a file.
        let (shown, away) = (BTreeMap::new(), taken.keys().cloned().collect());
        let let_go: LetGoFiles =
            rows.let_go.read_all()?.readable.into_iter().map(|(Displayed(cid), row)| (cid, row)).collect();
        let older = rows.older.read_all()?.readable.into_iter();
        // A robot withdraws only files of its present identity, not those of an earlier one.
        let older = older.filter(|(_, older)| older.description.uploader == me);
        let older = older.map(|(Displayed(cid), older)| (cid, older)).collect();
        let unshared = rows.unshared.read_all()?.readable.into_iter();
        let unshared = unshared.filter(|(_, row)| row.description.uploader == me);
        let unshared = unshared.map(|(Displayed(cid), row)| (cid, row)).collect();
        let unlisted = rows.unlisted.read_all()?.readable.into_iter();
        let unlisted = unlisted.map(|(Displayed(cid), row)| (cid, row)).collect();
        let (changed, lost, no_room) = (Arc::default(), Arc::default(), watch::Sender::default());
        let (left_out, changing, releasing) = (watch::Sender::default(), BTreeSet::new(), BTreeSet::new());
        let tables = Arc::new(Mutex::new(Tables {
            taken,
            volumes,
            shown,
            unsaved: BTreeMap::new(),
            away,
            foreign,
            kept,
            let_go,
            releasing,
            older,
            unshared,
            unlisted,
            changing,
        }));
        let (listing, catalogued) = (watch::Sender::default(), watch::Sender::default());
        Ok(Self { me, rows, tables, changed, lost, no_room, left_out, listing, catalogued })
    }

    /// Returns the files taken from the shared folders, also those on missing volumes.
    pub(crate) fn taken(&self) -> BTreeMap<SharedPath, Taken> {
        self.tables().taken.clone()
    }

    /// Returns the files that were checked and pinned, with their descriptions.
    pub(crate) fn kept(&self) -> BTreeMap<Cid, Description> {
        self.tables().kept.clone()
    }

    /// Returns the state of each older version of a file of the folder, and the taken files that are being changed.
    pub(crate) fn replaced(&self) -> (BTreeMap<Cid, Replaced>, BTreeSet<Cid>) {
        let tables = self.tables();
        let mut states = versions::states(&tables.taken, &tables.older);
        // A version that is back in the folder but must not be shared is not proposed again.
        let is_withheld = |cid: &Cid| tables.let_go.get(cid).is_some_and(|row| row.reason != Reason::Deleted);
        states.retain(|cid, state| *state != Replaced::IsBack || !is_withheld(cid));
        let unshared = tables.unshared.iter();
        states.extend(unshared.map(|(cid, row)| (*cid, Replaced::Unshared(row.description.clone()))));
        (states, tables.changing.clone())
    }

    /// Replaces the set of taken files that are being changed.
    pub(crate) fn set_changing(&self, changing: BTreeSet<Cid>) {
        self.tables().changing = changing;
    }

    /// Returns the channel with the files that are left out because the record quota of this node is used up.
    pub(crate) fn left_out(&self) -> &watch::Sender<LeftOut> {
        &self.left_out
    }

    /// Returns the channel with the files that the catalogue of this node should list.
    pub(crate) fn listing(&self) -> &watch::Sender<Listing> {
        &self.listing
    }

    /// Returns the channel with the files that the published catalogue of this node lists; `None` until they are known
    /// after the start.
    pub(crate) fn catalogued(&self) -> &watch::Sender<Option<Arc<BTreeSet<Cid>>>> {
        &self.catalogued
    }

    /// Returns a receiver of the list of files for which there is no space now.
    pub(crate) fn no_room(&self) -> watch::Receiver<Vec<NoRoom>> {
        self.no_room.subscribe()
    }

    /// Replaces the list of files for which there is no space now. Returns whether it names other files than before.
    pub(crate) fn tell_no_room(&self, files: Vec<NoRoom>) -> bool {
        let is_other =
            |before: &Vec<NoRoom>| !before.iter().map(|file| file.cid).eq(files.iter().map(|file| file.cid));
        self.no_room.send_if_modified(|before| {
            let is_other = is_other(before);
            *before = files.clone();
            is_other
        })
    }

    /// Notes files of the folder that were added and pinned. Rows of let-go files are removed, since the files are
    /// back.
    pub(crate) async fn take(&self, files: Vec<(SharedPath, Taken, Description)>) -> Result<(), TableError> {
        let kept = |(_, taken, description): &(SharedPath, Taken, Description)| {
            (Displayed(taken.cid), Some(description.clone()))
        };
        let taken: Vec<_> = files.iter().map(|(path, taken, _)| (path.clone(), *taken)).collect();
        self.replace(&taken).await?;
        // The kept rows are written first: after a crash, each taken file must be a kept one, but not vice versa.
        self.rows.kept.write_async(&files.iter().map(kept).collect::<Vec<_>>()).await?;
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

    /// Notes a file of another peer that was checked and pinned.
    pub(crate) async fn keep(&self, cid: Cid, description: Description) -> Result<(), TableError> {
        self.rows.kept.write_async(&[(Displayed(cid), Some(description.clone()))]).await?;
        self.tables().kept.insert(cid, description);
        Ok(())
    }

    /// Notes files that are not kept any more.
    pub(crate) async fn drop_kept(&self, cids: &[Cid]) -> Result<(), TableError> {
        let removed: Vec<_> = cids.iter().map(|cid| (Displayed(*cid), None)).collect();
        self.rows.kept.write_async(&removed).await?;
        let mut tables = self.tables();
        for cid in cids {
            tables.kept.remove(cid);
        }
        drop(tables);
        self.lost.notify_one();
        Ok(())
    }

    /// Waits until a file that may be in the folder is not kept any more.
    pub(crate) async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Wakes the replicator after a change other than a taken file.
    pub(crate) fn tell_changed(&self) {
        self.changed.notify_one();
    }

    /// Waits for a change that concerns the replicator, such as a taken file.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // The tables are consistent at every point that can panic, so a poisoned lock is safe to use.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::index::tests::{cid, description, peer};
    use store::Store;

    /// Opens the ledger of peer 1.
    pub(crate) fn open(file: &std::path::Path) -> Ledger {
        open_as(1, file)
    }

    pub(in crate::ledger) fn open_as(seed: u8, file: &std::path::Path) -> Ledger {
        let store = Arc::new(Store::open(file).unwrap().0);
        let rows = Rows {
            taken: store.table("logs/taken"),
            volumes: store.table("logs/volumes"),
            kept: store.table("logs/kept"),
            let_go: store.table("logs/let_go"),
            older: store.table("logs/older"),
            unshared: store.table("logs/unshared"),
            unlisted: store.table("logs/unlisted"),
        };
        Ledger::read(peer(seed), rows).unwrap()
    }

    /// Names a file of the first volume.
    pub(crate) fn at(path: &str) -> SharedPath {
        SharedPath::new(VolumeId(1), path)
    }

    #[tokio::test]
    async fn the_ledger_is_read_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let taken =
            Taken { fingerprint: Fingerprint { size: 5, modified: 7, inode_changed: None }, cid: cid() };
        {
            let ledger = open(&file);
            let of = |name: &str| (at(name), taken, description(1, name));
            ledger.take(vec![of("a.bag"), of("b.bag")]).await.unwrap();
            ledger.forget_paths(vec![at("b.bag")]).await.unwrap();
            ledger.changed().await;
        }
        let ledger = open(&file);
        assert_eq!(ledger.taken(), BTreeMap::from([(at("a.bag"), taken)]));
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
                ledger.take(vec![(at("a.bag"), taken, description(1, "a.bag"))]).await.unwrap();
            }
        }
        let (replaced, _) = open(&file).replaced();
        let [(old, Replaced::By(by, description))] = &replaced.into_iter().collect::<Vec<_>>()[..] else {
            panic!("expected exactly one older version")
        };
        assert_eq!((*old, *by, description.size), (cid(), Some(newer), 5));
    }
}
