//! The part of the ledger about files that this node let go of, and about files that no peer lists.

use super::Ledger;
use crate::let_go::{LetGo, LetGoFiles, Reason, replaces};
use crate::unlisted::{Changes, UnlistedFiles};
use ipfs::Cid;
use std::collections::BTreeSet;
use store::{Displayed, TableError};

impl Ledger {
    /// Returns the files that this node let go of.
    pub(crate) fn let_go_files(&self) -> LetGoFiles {
        self.tables().let_go.clone()
    }

    /// Returns the files that must not be shared although they may be in the shared folder.
    pub(crate) fn withheld(&self) -> BTreeSet<Cid> {
        let tables = self.tables();
        // A deleted file that is in the folder again was put back by a user, so it may be shared.
        let rows = tables.let_go.iter().filter(|(_, row)| row.reason != Reason::Deleted);
        rows.map(|(cid, _)| *cid).chain(tables.unshared.keys().copied()).collect()
    }

    /// Returns the files that this node let go of, except those that are not unpinned yet.
    pub(crate) fn released(&self) -> LetGoFiles {
        let tables = self.tables();
        let rows = tables.let_go.iter().filter(|(cid, _)| !tables.releasing.contains(*cid));
        rows.map(|(cid, row)| (*cid, *row)).collect()
    }

    /// Notes files that must not be kept any more, with the reasons. The caller must unpin them afterwards: see
    /// [`Ledger::releasing`].
    pub(crate) async fn let_go(&self, files: Vec<(Cid, LetGo)>) -> Result<(), TableError> {
        let rows: Vec<(Cid, LetGo)> = {
            let tables = self.tables();
            files.into_iter().filter(|(cid, row)| replaces(row, tables.let_go.get(cid))).collect()
        };
        if rows.is_empty() {
            return Ok(());
        }
        let written: Vec<_> = rows.iter().map(|(cid, row)| (Displayed(*cid), Some(*row))).collect();
        self.rows.let_go.write_async(&written).await?;
        // The order matters: a file that is neither kept nor let go of after a crash would be fetched back.
        let removed: Vec<_> = rows.iter().map(|(cid, _)| (Displayed(*cid), None)).collect();
        self.rows.kept.write_async(&removed).await?;
        let mut tables = self.tables();
        for (cid, row) in rows {
            tables.let_go.insert(cid, row);
            if tables.kept.remove(&cid).is_some() {
                tables.releasing.insert(cid);
            }
        }
        drop(tables);
        self.changed.notify_one();
        Ok(())
    }

    /// Removes the rows of these files from the disk, where there are any.
    pub(super) async fn take_back_rows(&self, mut cids: Vec<Cid>) -> Result<(), TableError> {
        cids.retain(|cid| self.tables().let_go.contains_key(cid));
        if cids.is_empty() {
            return Ok(());
        }
        let removed: Vec<_> = cids.into_iter().map(|cid| (Displayed(cid), None)).collect();
        self.rows.let_go.write_async(&removed).await
    }

    /// Notes files that may be kept again.
    pub(crate) async fn take_back(&self, cids: &[Cid]) -> Result<(), TableError> {
        self.take_back_rows(cids.to_vec()).await?;
        let mut tables = self.tables();
        for cid in cids {
            tables.let_go.remove(cid);
        }
        drop(tables);
        // The replicator may fetch them now, and the proposer may share those in the folder.
        self.changed.notify_one();
        self.lost.notify_one();
        Ok(())
    }

    /// Returns the kept files that no peer lists.
    pub(crate) fn unlisted(&self) -> UnlistedFiles {
        self.tables().unlisted.clone()
    }

    /// Notes the kept files that no peer lists, and removes those that a peer lists again.
    pub(crate) async fn note_unlisted(&self, changes: &Changes) -> Result<(), TableError> {
        let noted = changes.noted.iter().map(|(cid, row)| (Displayed(*cid), Some(*row)));
        let forgotten = changes.forgotten.iter().map(|cid| (Displayed(*cid), None));
        let rows: Vec<_> = noted.chain(forgotten).collect();
        if rows.is_empty() {
            return Ok(());
        }
        self.rows.unlisted.write_async(&rows).await?;
        let mut tables = self.tables();
        tables.unlisted.extend(changes.noted.iter().copied());
        tables.unlisted.retain(|cid, _| !changes.forgotten.contains(cid));
        Ok(())
    }

    /// Returns the files that the replicator must unpin.
    pub(crate) fn releasing(&self) -> BTreeSet<Cid> {
        self.tables().releasing.clone()
    }

    /// Notes files that were unpinned.
    pub(crate) fn note_released(&self, cids: &BTreeSet<Cid>) {
        self.tables().releasing.retain(|cid| !cids.contains(cid));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{NOW, cid, description};
    use crate::ledger::tests::open;

    #[tokio::test]
    async fn a_file_that_was_let_go_is_remembered_across_restarts_until_it_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let row = |reason| LetGo { reason, time: NOW };
        {
            let ledger = open(&file);
            ledger.keep(cid(), description(1, "a.bag")).await.unwrap();
            ledger.let_go(vec![(cid(), row(Reason::Unpinned))]).await.unwrap();
            ledger.let_go(vec![(cid(), row(Reason::Deleted))]).await.unwrap();
            ledger.changed().await;
            assert_eq!(ledger.releasing(), BTreeSet::from([cid()]));
            assert!(ledger.released().is_empty(), "it is still pinned");
            ledger.note_released(&BTreeSet::from([cid()]));
        }
        let ledger = open(&file);
        assert!(ledger.kept().is_empty());
        assert_eq!(ledger.released(), LetGoFiles::from([(cid(), row(Reason::Unpinned))]));
        assert_eq!(ledger.withheld(), BTreeSet::from([cid()]));
        ledger.take_back(&[cid()]).await.unwrap();
        drop(ledger);
        assert!(open(&file).let_go_files().is_empty());
    }

    #[tokio::test]
    async fn the_time_since_which_a_file_is_unlisted_survives_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let row = crate::unlisted::Unlisted { since: NOW };
        let noted = Changes { noted: vec![(cid(), row)], ..Changes::default() };
        open(&file).note_unlisted(&noted).await.unwrap();
        let ledger = open(&file);
        assert_eq!(ledger.unlisted(), UnlistedFiles::from([(cid(), row)]));
        ledger.note_unlisted(&Changes { forgotten: vec![cid()], ..Changes::default() }).await.unwrap();
        assert!(ledger.unlisted().is_empty());
        drop(ledger);
        assert!(open(&file).unlisted().is_empty());
    }

    #[tokio::test]
    async fn a_deleted_file_that_is_back_in_the_folder_is_kept_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let ledger = open(&file);
        ledger.let_go(vec![(cid(), LetGo { reason: Reason::Deleted, time: NOW })]).await.unwrap();
        assert!(ledger.withheld().is_empty());
        let fingerprint = crate::settle::Fingerprint { size: 5, modified: 7, inode_changed: None };
        let taken = crate::ledger::Taken { fingerprint, cid: cid() };
        ledger.take(vec![(crate::ledger::tests::at("a.bag"), taken, description(1, "a.bag"))]).await.unwrap();
        assert!(ledger.let_go_files().is_empty());
        drop(ledger);
        assert!(open(&file).let_go_files().is_empty());
    }
}
