//! The part of the ledger about the paths of the shared folders.

use super::{Ledger, Taken};
use crate::info::Description;
use crate::settle::Fingerprint;
use crate::versions::{self, Older};
use crate::volume::SharedPath;
use dcache::PeerId;
use ipfs::Cid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use store::{Displayed, TableError};

/// A row of the table of taken files: a [`Taken`] on the disk.
#[derive(Serialize, Deserialize)]
pub(super) struct TakenRow {
    size: u64,
    modified: u64,
    /// Absent in rows of earlier versions of the daemon.
    #[serde(default)]
    inode_changed: Option<u64>,
    cid: String,
    /// The identity that uploaded the file. Absent in rows of earlier versions of the daemon.
    #[serde(default)]
    uploader: Option<PeerId>,
}

impl TakenRow {
    pub(super) fn read(&self) -> Option<Taken> {
        let &Self { size, modified, inode_changed, .. } = self;
        Some(Taken {
            fingerprint: Fingerprint { size, modified, inode_changed },
            cid: self.cid.parse().ok()?,
        })
    }
}

/// Returns the taken files that `me` did not upload, or whose uploader is unknown. Rows of earlier versions lack the
/// uploader; it is known only while the file is kept.
pub(super) fn foreign(
    rows: &[(Displayed<SharedPath>, TakenRow)],
    kept: &BTreeMap<Cid, Description>,
    me: PeerId,
) -> BTreeMap<Cid, Option<PeerId>> {
    let uploader = |(_, row): &(Displayed<SharedPath>, TakenRow)| {
        let cid: Cid = row.cid.parse().ok()?;
        Some((cid, row.uploader.or_else(|| Some(kept.get(&cid)?.uploader))))
    };
    rows.iter().filter_map(uploader).filter(|(_, uploader)| *uploader != Some(me)).collect()
}

impl Ledger {
    /// Returns whether a taken file was uploaded by another identity, or by an unknown one.
    pub(crate) fn is_foreign(&self, cid: &Cid) -> bool {
        self.tables().foreign.contains_key(cid)
    }

    /// Notes files of the folder that must not be shared, so that they are not read again.
    pub(crate) async fn pass_over(&self, files: Vec<(SharedPath, Taken)>) -> Result<(), TableError> {
        self.replace(&files).await?;
        self.write_taken(files).await?;
        self.tell_changed();
        Ok(())
    }

    /// Stores new fingerprints of taken files whose content did not change.
    pub(crate) async fn note_looks(&self, files: Vec<(SharedPath, Taken)>) -> Result<(), TableError> {
        if files.is_empty() { Ok(()) } else { self.write_taken(files).await }
    }

    /// Removes the paths of files that are no longer in the folder. Kept files stay in the ledger.
    pub(crate) async fn forget_paths(&self, paths: Vec<SharedPath>) -> Result<(), TableError> {
        if paths.is_empty() {
            return Ok(());
        }
        let removed: Vec<_> = paths.iter().map(|path| (Displayed(path.clone()), None)).collect();
        self.rows.taken.write_async(&removed).await?;
        self.note_unshared_gone(&paths).await?;
        let mut tables = self.tables();
        for path in &paths {
            tables.taken.remove(path);
            tables.away.remove(path);
        }
        Ok(())
    }

    pub(super) async fn write_taken(&self, files: Vec<(SharedPath, Taken)>) -> Result<(), TableError> {
        let rows: Vec<_> =
            files.iter().map(|(path, taken)| (Displayed(path.clone()), Some(self.row(taken)))).collect();
        self.rows.taken.write_async(&rows).await?;
        self.tables().taken.extend(files);
        Ok(())
    }

    pub(super) fn row(&self, taken: &Taken) -> TakenRow {
        let Fingerprint { size, modified, inode_changed } = taken.fingerprint;
        let uploader = self.tables().foreign.get(&taken.cid).copied().unwrap_or(Some(self.me));
        TakenRow { size, modified, inode_changed, cid: taken.cid.to_string(), uploader }
    }

    /// Notes the older versions that these files replace, and forgets the oldest rows in exchange. A file of another
    /// identity does not count as an older version.
    pub(super) async fn replace(&self, files: &[(SharedPath, Taken)]) -> Result<(), TableError> {
        let older = versions::replaced(&self.tables().taken, files, self.me);
        self.add_older(older).await
    }

    /// Forgets the paths of files that were shared singly and are now shared with their folder. The folder replaces them
    /// like a newer version.
    pub(crate) async fn absorb(&self, files: &[(SharedPath, String)]) -> Result<(), TableError> {
        let older = {
            let tables = self.tables();
            let older = |(file, folder): &(SharedPath, String)| {
                let taken = tables.taken.get(file)?;
                let description = versions::describe(&file.path, taken.fingerprint, self.me);
                Some((taken.cid, Older { volume: file.volume, path: folder.clone(), description }))
            };
            files.iter().filter_map(older).collect()
        };
        self.add_older(older).await?;
        self.forget_paths(files.iter().map(|(file, _)| file.clone()).collect()).await?;
        self.tell_changed();
        Ok(())
    }

    async fn add_older(&self, mut older: Vec<(Cid, Older)>) -> Result<(), TableError> {
        let forgotten = {
            let tables = self.tables();
            older.retain(|(cid, _)| !tables.foreign.contains_key(cid));
            // The holders compare the description that this node stated, with the content of the recording.
            for (cid, older) in &mut older {
                if let Some(stated) = tables.kept.get(cid) {
                    older.description.clone_from(stated);
                }
            }
            versions::forgotten(&tables.older, older.len())
        };
        let older_row = |(cid, older): &(Cid, Older)| (Displayed(*cid), Some(older.clone()));
        let forgotten_row = |cid: &Cid| (Displayed(*cid), None);
        let rows: Vec<_> = older.iter().map(older_row).chain(forgotten.iter().map(forgotten_row)).collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.rows.older.write_async(&rows).await?;
        let mut tables = self.tables();
        tables.older.extend(older);
        tables.older.retain(|cid, _| !forgotten.contains(cid));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::index::tests::{NOW, cid, description};
    use crate::ledger::Taken;
    use crate::ledger::tests::{at, open, open_as};
    use crate::let_go::{LetGo, Reason};
    use crate::settle::Fingerprint;
    use crate::versions::Replaced;
    use ipfs::Cid;
    use std::sync::Arc;
    use store::Store;

    fn newer() -> Cid {
        crate::buckets::parse("bafkreiaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap()
    }

    fn taken(size: u64, cid: Cid) -> Taken {
        Taken { fingerprint: Fingerprint { size, modified: 7, inode_changed: Some(8) }, cid }
    }

    #[tokio::test]
    async fn a_file_of_a_former_identity_is_not_an_older_version_of_a_new_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let newest =
            crate::buckets::parse("bafkreibaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
        let of = |seed, size, cid| vec![(at("a.bag"), taken(size, cid), description(seed, "a.bag"))];
        {
            let ledger = open(&file);
            for (size, cid) in [(4, newest), (5, cid())] {
                ledger.take(of(1, size, cid)).await.unwrap();
            }
            assert_eq!(ledger.replaced().0.len(), 1);
            assert!(!ledger.is_foreign(&cid()));
        }
        {
            let ledger = open_as(2, &file);
            assert!(ledger.is_foreign(&cid()));
            // A new fingerprint does not make it a file of the new identity.
            ledger.note_looks(vec![(at("a.bag"), taken(5, cid()))]).await.unwrap();
        }
        let ledger = open_as(2, &file);
        ledger.take(of(2, 6, newer())).await.unwrap();
        assert!(ledger.replaced().0.is_empty(), "neither that file nor its older version is withdrawn");
        ledger.take(of(2, 4, newest)).await.unwrap();
        let (replaced, _) = ledger.replaced();
        assert_eq!(replaced.into_keys().collect::<Vec<_>>(), [newer()], "the own file is withdrawn");
    }

    #[tokio::test]
    async fn an_older_version_has_the_description_that_was_stated() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(&folder.path().join("records.redb"));
        let whole = recordings::describe("a.log", &mut &b"a log"[..]).unwrap();
        let recording = Some(crate::info::Summary::of(&whole));
        let stated = crate::info::Description { recording, ..description(1, "a.bag") };
        ledger.take(vec![(at("a.bag"), taken(5, cid()), stated.clone())]).await.unwrap();
        ledger.take(vec![(at("a.bag"), taken(6, newer()), description(1, "a.bag"))]).await.unwrap();
        let (replaced, _) = ledger.replaced();
        assert_eq!(replaced[&cid()], Replaced::By(Some(newer()), stated));
    }

    #[tokio::test]
    async fn a_file_that_is_shared_with_its_folder_is_an_older_version_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(&folder.path().join("records.redb"));
        ledger.take(vec![(at("run/a.mcap"), taken(5, cid()), description(1, "a.mcap"))]).await.unwrap();
        ledger.absorb(&[(at("run/a.mcap"), "run".to_owned())]).await.unwrap();
        assert!(ledger.taken().is_empty());
        let state = |ledger: &crate::ledger::Ledger| ledger.replaced().0.remove(&cid());
        assert_eq!(state(&ledger), Some(Replaced::By(None, description(1, "a.mcap"))));
        ledger.take(vec![(at("run"), taken(9, newer()), description(1, "run"))]).await.unwrap();
        assert_eq!(state(&ledger), Some(Replaced::By(Some(newer()), description(1, "a.mcap"))));
    }

    #[tokio::test]
    async fn rows_of_an_earlier_version_belong_to_the_uploader_of_the_kept_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        {
            let store = Arc::new(Store::open(&file).unwrap().0);
            let row = serde_json::json!({ "size": 5, "modified": 7, "cid": cid().to_string() });
            store.table("logs/taken").write(&[("a.bag".to_owned(), Some(row))]).unwrap();
        }
        for is_kept in [false, true] {
            let ledger = open(&file);
            assert_eq!(ledger.taken()[&"a.bag".parse().unwrap()].fingerprint.inode_changed, None);
            assert_eq!(ledger.is_foreign(&cid()), !is_kept);
            ledger.keep(cid(), description(1, "a.bag")).await.unwrap();
        }
        assert!(open_as(2, &file).is_foreign(&cid()));
    }

    #[tokio::test]
    async fn a_discarded_version_that_is_put_back_replaces_the_later_version() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(&folder.path().join("records.redb"));
        let discarded = taken(5, cid());
        ledger.take(vec![(at("a.bag"), discarded, description(1, "a.bag"))]).await.unwrap();
        ledger.let_go(vec![(cid(), LetGo { reason: Reason::Discarded, time: NOW })]).await.unwrap();
        let between = (at("a.bag"), taken(6, newer()), description(1, "a.bag"));
        ledger.take(vec![between]).await.unwrap();
        ledger.pass_over(vec![(at("a.bag"), discarded)]).await.unwrap();
        let (replaced, _) = ledger.replaced();
        assert!(matches!(replaced[&newer()], Replaced::By(Some(by), _) if by == cid()), "{replaced:?}");
        assert!(!replaced.contains_key(&cid()), "the discarded version is not proposed again");
    }
}
