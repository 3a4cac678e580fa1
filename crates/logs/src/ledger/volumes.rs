//! The part of the ledger about the volumes of the shared folders: which of them are there, and which files cannot be
//! read now.

use super::{Ledger, Taken};
use crate::buckets::LIFETIME;
use crate::let_go::{LetGo, Reason};
use crate::propose::deleted;
use crate::settle::Fingerprint;
use crate::volume::{MAX_MISSING, SharedPath, Volume, VolumeId, rows_of};
use dcache::Time;
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use store::{Displayed, TableError};

/// Maximum number of example paths of a missing volume.
const MAX_EXAMPLES: usize = 3;

/// A volume that no shared folder shows now, with files of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) id: VolumeId,
    /// The volume when it was last there. `None` for the files of an earlier version of the daemon.
    pub(crate) volume: Option<Volume>,
    /// Number of its files.
    pub(crate) files: usize,
    /// Sum of their sizes in bytes.
    pub(crate) bytes: u64,
    /// Paths of the first few, relative to the root of the volume.
    pub(crate) examples: Vec<String>,
}

/// Reason why a volume cannot be forgotten.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ForgetError {
    /// No missing volume has this ID.
    #[error("no missing disk has the ID {0}; `folders` lists them")]
    Unknown(VolumeId),
    /// A shared folder shows the volume.
    #[error("the disk {0} is there, as {1}; delete the files that must not be shared any more")]
    IsThere(VolumeId, PathBuf),
    /// The ledger cannot be written.
    #[error(transparent)]
    Disk(#[from] TableError),
}

impl Ledger {
    /// Returns the files taken from one volume, by path.
    pub(crate) fn taken_in(&self, volume: VolumeId) -> BTreeMap<String, Taken> {
        let tables = self.tables();
        rows_of(&tables.taken, volume).map(|(file, taken)| (file.path.clone(), *taken)).collect()
    }

    /// Returns the shared folder other than `folder` that shows a volume.
    pub(crate) fn shown_elsewhere(&self, volume: VolumeId, folder: &Path) -> Option<PathBuf> {
        let tables = self.tables();
        let other = tables.shown.iter().find(|(path, shown)| **shown == volume && *path != folder);
        other.map(|(path, _)| path.clone())
    }

    /// Notes the volume that a shared folder shows now. The files of volumes that no folder shows are away.
    pub(crate) fn show(&self, folder: PathBuf, volume: Option<VolumeId>) {
        let mut tables = self.tables();
        let before = match volume {
            Some(volume) => tables.shown.insert(folder.clone(), volume),
            None => tables.shown.remove(&folder),
        };
        if before != volume {
            let both = before.into_iter().chain(volume);
            tables.unsaved.extend(both.map(|volume| (volume, folder.clone())));
        }
        let hidden = before.filter(|before| !tables.shown.values().any(|shown| shown == before));
        let away: Vec<SharedPath> = hidden
            .map(|hidden| rows_of(&tables.taken, hidden).map(|(file, _)| file.clone()).collect())
            .unwrap_or_default();
        let is_news = !away.is_empty();
        tables.away.extend(away);
        drop(tables);
        if is_news {
            self.tell_changed();
        }
    }

    /// Writes down that volumes appeared or vanished at `now`. Volumes that are gone and have no files are forgotten.
    pub(crate) async fn note_volumes(&self, now: Time) -> Result<(), TableError> {
        let rows: Vec<(VolumeId, Option<Volume>)> = {
            let tables = self.tables();
            let seen = tables.unsaved.iter().map(|(id, folder)| {
                (*id, Some(Volume { folder: folder.to_string_lossy().into_owned(), seen: now }))
            });
            let is_empty = |id: &VolumeId| rows_of(&tables.taken, *id).next().is_none();
            let is_shown = |id: &VolumeId| tables.shown.values().any(|shown| shown == id);
            let known = tables.volumes.keys().chain(tables.unsaved.keys());
            let empty = known.filter(|id| !is_shown(id) && is_empty(id));
            // Of two rows of one volume, the last one counts.
            let rows: BTreeMap<_, _> = seen.chain(empty.map(|id| (*id, None))).collect();
            rows.into_iter().collect()
        };
        if rows.is_empty() {
            return Ok(());
        }
        let written: Vec<_> = rows.iter().map(|(id, volume)| (Displayed(*id), volume.clone())).collect();
        self.rows.volumes.write_async(&written).await?;
        let mut tables = self.tables();
        for (id, volume) in rows {
            tables.unsaved.remove(&id);
            match volume {
                Some(volume) => drop(tables.volumes.insert(id, volume)),
                None => drop(tables.volumes.remove(&id)),
            }
        }
        Ok(())
    }

    /// Returns whether a volume with files was seen in this shared folder.
    pub(crate) fn has_seen(&self, folder: &Path) -> bool {
        let tables = self.tables();
        let is_of = |volume: &Volume| Path::new(&volume.folder) == folder;
        tables
            .volumes
            .iter()
            .any(|(id, volume)| is_of(volume) && rows_of(&tables.taken, *id).next().is_some())
    }

    /// Returns the volumes that no shared folder shows now, with the files of this node on them.
    pub(crate) fn missing(&self) -> Vec<Missing> {
        let tables = self.tables();
        let mut missing: BTreeMap<VolumeId, Missing> = BTreeMap::new();
        for (SharedPath { volume: id, path }, taken) in &tables.taken {
            if tables.shown.values().any(|shown| shown == id) {
                continue;
            }
            let new = || Missing {
                id: *id,
                volume: tables.volumes.get(id).cloned(),
                files: 0,
                bytes: 0,
                examples: Vec::new(),
            };
            let row = missing.entry(*id).or_insert_with(new);
            row.files += 1;
            row.bytes = row.bytes.saturating_add(taken.fingerprint.size);
            if row.examples.len() < MAX_EXAMPLES {
                row.examples.push(path.clone());
            }
        }
        missing.into_values().collect()
    }

    /// Returns the volumes that have been missing for longer than a record about a file lasts.
    pub(crate) fn long_missing(&self, now: Time) -> BTreeSet<VolumeId> {
        let is_long =
            |missing: &Missing| missing.volume.as_ref().is_none_or(|volume| volume.seen.plus(LIFETIME) < now);
        self.missing().into_iter().filter(is_long).map(|missing| missing.id).collect()
    }

    /// Returns the files of each missing volume, by which a folder without a marker is recognised.
    pub(crate) fn files_of_missing_volumes(&self) -> BTreeMap<VolumeId, Vec<(String, Fingerprint)>> {
        let missing: BTreeSet<VolumeId> = self.missing().into_iter().map(|missing| missing.id).collect();
        let tables = self.tables();
        let files = |id: VolumeId| {
            let files = rows_of(&tables.taken, id);
            (id, files.map(|(file, taken)| (file.path.clone(), taken.fingerprint)).collect())
        };
        missing.into_iter().map(files).collect()
    }

    /// Gives the files of one volume to another one. This call blocks.
    pub(crate) fn rename_volume(&self, from: VolumeId, to: VolumeId) -> Result<(), TableError> {
        let moved = |file: &SharedPath| SharedPath::new(to, file.path.as_str());
        let (files, older): (Vec<(SharedPath, Taken)>, Vec<_>) = {
            let tables = self.tables();
            let older = tables.older.iter().filter(|(_, older)| older.volume == from);
            let older = older.map(|(cid, older)| (*cid, versions_in(older.clone(), to))).collect();
            (rows_of(&tables.taken, from).map(|(file, taken)| (file.clone(), *taken)).collect(), older)
        };
        let removed = files.iter().map(|(file, _)| (Displayed(file.clone()), None));
        let added = files.iter().map(|(file, taken)| (Displayed(moved(file)), Some(self.row(taken))));
        self.rows.taken.write(&removed.chain(added).collect::<Vec<_>>())?;
        let rows = older.iter().map(|(cid, older)| (Displayed(*cid), Some(older.clone())));
        self.rows.older.write(&rows.collect::<Vec<_>>())?;
        let mut tables = self.tables();
        for (file, taken) in files {
            tables.taken.remove(&file);
            tables.taken.insert(moved(&file), taken);
            if tables.away.remove(&file) {
                tables.away.insert(moved(&file));
            }
        }
        tables.older.extend(older);
        Ok(())
    }

    /// Returns the files of this node that cannot be read now, or whose blocks are to be checked.
    pub(crate) fn away(&self) -> BTreeSet<Cid> {
        let tables = self.tables();
        if tables.away.is_empty() {
            return BTreeSet::new();
        }
        let (away, there): (Vec<_>, Vec<_>) =
            tables.taken.iter().partition(|(file, _)| tables.away.contains(*file));
        let there: BTreeSet<Cid> = there.into_iter().map(|(_, taken)| taken.cid).collect();
        away.into_iter().map(|(_, taken)| taken.cid).filter(|cid| !there.contains(cid)).collect()
    }

    /// Returns the files of a volume that are away, by path.
    pub(crate) fn away_in(&self, volume: VolumeId) -> Vec<(String, Taken)> {
        let tables = self.tables();
        let away = rows_of(&tables.taken, volume).filter(|(file, _)| tables.away.contains(*file));
        away.map(|(file, taken)| (file.path.clone(), *taken)).collect()
    }

    /// Returns whether a file cannot be read now, or lacks blocks.
    pub(crate) fn is_away(&self, file: &SharedPath) -> bool {
        self.tables().away.contains(file)
    }

    /// Notes files of which all blocks can be read again, or that are not kept any more.
    pub(crate) fn note_back(&self, files: impl IntoIterator<Item = SharedPath>) {
        let mut tables = self.tables();
        let mut is_news = false;
        for file in files {
            is_news |= tables.away.remove(&file);
        }
        drop(tables);
        if is_news {
            self.tell_changed();
        }
    }

    /// Notes kept files of the shared folders that lack blocks, and returns them. The proposer checks whether the
    /// files are there, and adds them again.
    pub(crate) fn suspect(&self, cids: &BTreeSet<Cid>) -> BTreeSet<Cid> {
        let mut tables = self.tables();
        let is_meant = |cid: &Cid| cids.contains(cid) && tables.kept.contains_key(cid);
        let files = tables.taken.iter().filter(|(_, taken)| is_meant(&taken.cid));
        let files: Vec<(SharedPath, Cid)> = files.map(|(file, taken)| (file.clone(), taken.cid)).collect();
        let mut is_news = false;
        for (file, _) in &files {
            is_news |= tables.away.insert(file.clone());
        }
        drop(tables);
        if is_news {
            self.lost.notify_one();
        }
        files.into_iter().map(|(_, cid)| cid).collect()
    }

    /// Returns the missing volumes to forget, so that their number stays bounded: those that were seen longest ago.
    pub(crate) fn excess_volumes(&self) -> Vec<VolumeId> {
        let mut missing = self.missing();
        missing.sort_by_key(|missing| (missing.volume.as_ref().map(|volume| volume.seen), missing.id));
        let excess = missing.len().saturating_sub(MAX_MISSING);
        missing.into_iter().take(excess).map(|missing| missing.id).collect()
    }

    /// Forgets a missing volume: its files count as deleted at `time`. Returns the number of files.
    ///
    /// # Errors
    /// When no missing volume has this ID, or the ledger cannot be written.
    pub(crate) async fn forget_volume(&self, id: VolumeId, time: Time) -> Result<usize, ForgetError> {
        let (files, deleted) = {
            let tables = self.tables();
            if let Some((folder, _)) = tables.shown.iter().find(|(_, shown)| **shown == id) {
                return Err(ForgetError::IsThere(id, folder.clone()));
            }
            let files: Vec<SharedPath> = rows_of(&tables.taken, id).map(|(file, _)| file.clone()).collect();
            let deleted = deleted(&files, &tables.taken);
            (files, deleted)
        };
        if files.is_empty() {
            return Err(ForgetError::Unknown(id));
        }
        let row = |cid: Cid| (cid, LetGo { reason: Reason::Deleted, time });
        self.let_go(deleted.into_iter().map(row).collect()).await?;
        self.forget_paths(files.clone()).await?;
        self.note_volumes(time).await?;
        Ok(files.len())
    }

    /// Returns where a file of this node is on the disk; `None` when its volume is missing or it is not in a folder.
    pub(crate) fn path_of(&self, cid: &Cid) -> Option<PathBuf> {
        let taken = self.taken();
        let mut files = taken.iter().filter(|(_, taken)| taken.cid == *cid);
        files.find_map(|(file, _)| self.file_at(file))
    }

    /// Returns the path of a file of a shared folder; `None` when its volume is missing.
    pub(crate) fn file_at(&self, file: &SharedPath) -> Option<PathBuf> {
        Some(self.root_of(file)?.join(&file.path))
    }

    /// Returns the path of the shared folder that has a file; `None` when its volume is missing.
    pub(crate) fn root_of(&self, file: &SharedPath) -> Option<PathBuf> {
        let tables = self.tables();
        let mut folders = tables.shown.iter();
        folders.find(|(_, shown)| **shown == file.volume).map(|(folder, _)| folder.clone())
    }

    /// Returns the paths of the shared folders that are there.
    pub(crate) fn shown(&self) -> Vec<PathBuf> {
        self.tables().shown.keys().cloned().collect()
    }
}

fn versions_in(older: crate::versions::Older, volume: VolumeId) -> crate::versions::Older {
    crate::versions::Older { volume, ..older }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{NOW, cid, description};
    use crate::ledger::tests::{at, open};
    use crate::versions::Replaced;

    const FIRST: VolumeId = VolumeId(1);

    fn taken() -> Taken {
        Taken { fingerprint: Fingerprint { size: 5, modified: 7, inode_changed: None }, cid: cid() }
    }

    async fn take(ledger: &Ledger, file: SharedPath) {
        ledger.take(vec![(file, taken(), description(1, "a.bag"))]).await.unwrap();
    }

    #[tokio::test]
    async fn files_are_away_while_their_volume_is_missing_and_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        {
            let ledger = open(&file);
            ledger.show("/stick".into(), Some(FIRST));
            take(&ledger, at("a.bag")).await;
            ledger.note_volumes(NOW).await.unwrap();
            assert!(ledger.away().is_empty() && ledger.missing().is_empty());
            ledger.show("/stick".into(), Some(VolumeId(2)));
            assert_eq!(ledger.away(), BTreeSet::from([cid()]));
            ledger.note_volumes(NOW.plus(9)).await.unwrap();
        }
        let ledger = open(&file);
        assert!(ledger.has_seen(Path::new("/stick")) && !ledger.has_seen(Path::new("/other")));
        assert_eq!(ledger.away(), BTreeSet::from([cid()]));
        let volume = Some(Volume { folder: "/stick".into(), seen: NOW.plus(9) });
        let missing = Missing { id: FIRST, volume, files: 1, bytes: 5, examples: vec!["a.bag".into()] };
        assert_eq!(ledger.missing(), [missing]);
        assert_eq!(ledger.path_of(&cid()), None);
        ledger.show("/stick".into(), Some(FIRST));
        assert_eq!(ledger.path_of(&cid()), Some("/stick/a.bag".into()));
        assert_eq!(ledger.away_in(FIRST), [("a.bag".to_owned(), taken())], "its blocks are to be checked");
        ledger.note_back([at("a.bag")]);
        assert!(ledger.away().is_empty());
    }

    #[tokio::test]
    async fn a_file_that_is_on_another_volume_too_is_not_away() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(&folder.path().join("records.redb"));
        ledger.show("/stick".into(), Some(FIRST));
        ledger.show("/home".into(), Some(VolumeId(2)));
        take(&ledger, at("a.bag")).await;
        take(&ledger, SharedPath::new(VolumeId(2), "a.bag")).await;
        ledger.show("/stick".into(), None);
        assert!(ledger.away().is_empty());
        assert_eq!(ledger.missing().len(), 1);
        ledger.forget_volume(FIRST, NOW).await.unwrap();
        assert!(ledger.let_go_files().is_empty(), "its other path is still there");
    }

    #[tokio::test]
    async fn the_files_of_a_forgotten_volume_count_as_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let ledger = open(&file);
        ledger.show("/stick".into(), Some(FIRST));
        take(&ledger, at("a.bag")).await;
        ledger.note_volumes(NOW).await.unwrap();
        let refused = ledger.forget_volume(FIRST, NOW).await.unwrap_err();
        assert!(matches!(refused, ForgetError::IsThere(..)), "{refused}");
        ledger.show("/stick".into(), None);
        assert_eq!(ledger.forget_volume(FIRST, NOW).await.unwrap(), 1);
        assert_eq!(ledger.let_go_files()[&cid()].reason, Reason::Deleted);
        let refused = ledger.forget_volume(FIRST, NOW).await.unwrap_err();
        assert!(matches!(refused, ForgetError::Unknown(FIRST)), "{refused}");
        drop(ledger);
        let ledger = open(&file);
        assert!(ledger.missing().is_empty() && !ledger.has_seen(Path::new("/stick")));
    }

    #[tokio::test]
    async fn a_file_that_lacks_blocks_is_looked_for_once() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(&folder.path().join("records.redb"));
        ledger.show("/stick".into(), Some(FIRST));
        take(&ledger, at("a.bag")).await;
        let lacking = BTreeSet::from([cid()]);
        assert_eq!(ledger.suspect(&lacking), lacking);
        ledger.lost().await;
        assert_eq!(ledger.suspect(&lacking), lacking);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(50), ledger.lost()).await.is_err());
        ledger.drop_kept(&[cid()]).await.unwrap();
        assert!(ledger.suspect(&lacking).is_empty(), "it is not kept any more");
    }

    #[tokio::test]
    async fn a_renamed_volume_keeps_its_older_versions() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let newer =
            crate::buckets::parse("bafkreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        {
            let ledger = open(&file);
            take(&ledger, "a.bag".parse().unwrap()).await;
            let now = Taken { cid: newer, ..taken() };
            ledger.take(vec![("a.bag".parse().unwrap(), now, description(1, "a.bag"))]).await.unwrap();
            ledger.rename_volume(VolumeId::UNKNOWN, FIRST).unwrap();
        }
        let ledger = open(&file);
        assert_eq!(ledger.taken().into_keys().collect::<Vec<_>>(), [at("a.bag")]);
        assert!(matches!(ledger.replaced().0[&cid()], Replaced::By(Some(by), _) if by == newer));
    }

    #[tokio::test]
    async fn the_number_of_missing_volumes_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(&folder.path().join("records.redb"));
        for number in 1..=MAX_MISSING as u64 + 1 {
            ledger.show("/stick".into(), Some(VolumeId(number)));
            take(&ledger, SharedPath::new(VolumeId(number), "a.bag")).await;
            ledger.note_volumes(NOW.plus(number)).await.unwrap();
        }
        assert!(ledger.excess_volumes().is_empty(), "one of them is there");
        ledger.show("/stick".into(), None);
        assert_eq!(ledger.excess_volumes(), [FIRST]);
    }
}
