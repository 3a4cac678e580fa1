//! The part of the ledger about files that a user of this node withdrew from the swarm.

use super::Ledger;
use crate::unshare::{MAX_UNSHARED, Unshared};
use crate::versions::Older;
use crate::volume::{SharedPath, VolumeId};
use ipfs::Cid;
use std::collections::{BTreeMap, BTreeSet};
use store::{Displayed, TableError};

impl Ledger {
    /// Returns the files that a user withdrew.
    pub(crate) fn unshared(&self) -> BTreeMap<Cid, Unshared> {
        self.tables().unshared.clone()
    }

    /// Returns the paths in a volume at which nothing is shared.
    pub(crate) fn unshared_in(&self, volume: VolumeId) -> BTreeSet<String> {
        let tables = self.tables();
        let places = tables.unshared.values().filter_map(|row| row.file.as_ref());
        places.filter(|file| file.volume == volume).map(|file| file.path.clone()).collect()
    }

    /// Notes files that a user withdrew. The proposer unpins them, and the replicator withdraws them. Forgets the oldest
    /// rows when there are too many; those of files that are still in a folder are forgotten last.
    pub(crate) async fn unshare(&self, files: Vec<(Cid, Unshared)>) -> Result<(), TableError> {
        let forgotten: Vec<Cid> = {
            let tables = self.tables();
            let excess = (tables.unshared.len() + files.len()).saturating_sub(MAX_UNSHARED);
            let mut rows: Vec<_> =
                tables.unshared.iter().map(|(cid, row)| (row.file.is_some(), row.time, *cid)).collect();
            rows.sort_unstable();
            rows.into_iter().take(excess).map(|(.., cid)| cid).collect()
        };
        let removed = forgotten.iter().map(|cid| (Displayed(*cid), None));
        let added = files.iter().map(|(cid, row)| (Displayed(*cid), Some(row.clone())));
        self.rows.unshared.write_async(&removed.chain(added).collect::<Vec<_>>()).await?;
        let mut tables = self.tables();
        tables.unshared.retain(|cid, _| !forgotten.contains(cid));
        tables.unshared.extend(files);
        drop(tables);
        self.lost.notify_one();
        self.changed.notify_one();
        Ok(())
    }

    /// Notes that a user shares a withdrawn file again.
    pub(crate) async fn share_again(&self, cid: Cid) -> Result<(), TableError> {
        let Some(row) = self.tables().unshared.get(&cid).cloned() else { return Ok(()) };
        // The row of the older version makes the replicator undo the statements about the file once it is back.
        let SharedPath { volume, path } = row.place();
        let older = Older { volume, path, description: row.description };
        self.rows.older.write_async(&[(Displayed(cid), Some(older.clone()))]).await?;
        self.rows.unshared.write_async(&[(Displayed(cid), None)]).await?;
        let mut tables = self.tables();
        tables.older.insert(cid, older);
        tables.unshared.remove(&cid);
        drop(tables);
        self.lost.notify_one();
        self.changed.notify_one();
        Ok(())
    }

    /// Notes withdrawn files that are not in the folder any more. Another file at their path is shared.
    pub(super) async fn note_unshared_gone(&self, paths: &[SharedPath]) -> Result<(), TableError> {
        let gone: Vec<(Cid, Unshared)> = {
            let tables = self.tables();
            let is_gone = |row: &Unshared| row.file.as_ref().is_some_and(|file| paths.contains(file));
            let rows = tables.unshared.iter().filter(|(_, row)| is_gone(row));
            rows.map(|(cid, row)| (*cid, Unshared { file: None, ..row.clone() })).collect()
        };
        if gone.is_empty() {
            return Ok(());
        }
        let rows: Vec<_> = gone.iter().map(|(cid, row)| (Displayed(*cid), Some(row.clone()))).collect();
        self.rows.unshared.write_async(&rows).await?;
        self.tables().unshared.extend(gone);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{NOW, cid, description, peer};
    use crate::ledger::Taken;
    use crate::ledger::tests::{at, open};
    use crate::settle::Fingerprint;
    use crate::versions::Replaced;

    fn row(file: Option<SharedPath>) -> Unshared {
        Unshared { file, description: description(1, "a.bag"), time: NOW, holders: vec![peer(2)] }
    }

    #[tokio::test]
    async fn a_withdrawn_file_stays_withdrawn_over_restarts_until_it_is_shared_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let taken =
            Taken { fingerprint: Fingerprint { size: 5, modified: 7, inode_changed: None }, cid: cid() };
        {
            let ledger = open(&file);
            ledger.take(vec![(at("a.bag"), taken, description(1, "a.bag"))]).await.unwrap();
            ledger.unshare(vec![(cid(), row(Some(at("a.bag"))))]).await.unwrap();
        }
        let ledger = open(&file);
        assert!(ledger.withheld().contains(&cid()));
        assert_eq!(ledger.unshared_in(VolumeId(1)), BTreeSet::from(["a.bag".to_owned()]));
        assert!(matches!(ledger.replaced().0[&cid()], Replaced::Unshared(_)));
        ledger.share_again(cid()).await.unwrap();
        assert!(!ledger.withheld().contains(&cid()) && ledger.unshared_in(VolumeId(1)).is_empty());
        assert_eq!(ledger.replaced().0[&cid()], Replaced::IsBack, "the withdrawal is undone");
        drop(ledger);
        assert!(open(&file).unshared().is_empty());
    }

    #[tokio::test]
    async fn another_file_is_shared_at_the_path_of_a_withdrawn_file_that_was_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let ledger = open(&file);
        ledger.unshare(vec![(cid(), row(Some(at("a.bag"))))]).await.unwrap();
        ledger.forget_paths(vec![at("b.bag"), at("a.bag")]).await.unwrap();
        drop(ledger);
        let ledger = open(&file);
        assert!(ledger.unshared_in(VolumeId(1)).is_empty());
        assert!(matches!(ledger.replaced().0[&cid()], Replaced::Unshared(_)), "it is still withdrawn");
    }

    #[tokio::test]
    async fn the_number_of_withdrawn_files_is_bounded_and_deleted_ones_are_forgotten_first() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = open(&folder.path().join("records.redb"));
        let numbered = |number: u64| {
            let mut bytes = cid().to_bytes();
            let end = bytes.len() - 8;
            bytes[end..].copy_from_slice(&number.to_be_bytes());
            Cid::try_from(bytes.as_slice()).unwrap()
        };
        let file = |number: u64| {
            let place = (number != 7).then(|| at(&number.to_string()));
            (numbered(number), Unshared { time: NOW.plus(number), ..row(place) })
        };
        ledger.unshare((0..MAX_UNSHARED as u64).map(file).collect()).await.unwrap();
        ledger.unshare(vec![file(10_000)]).await.unwrap();
        let unshared = ledger.unshared();
        assert_eq!(unshared.len(), MAX_UNSHARED);
        assert!(!unshared.contains_key(&numbered(7)) && unshared.contains_key(&numbered(0)));
    }
}
