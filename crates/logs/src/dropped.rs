//! The copies that this robot let go of lately, so that its user is told.

use crate::info::Description;
use crate::replicate::ReleaseReason;
use dcache::Time;
use ipfs::Cid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use store::{Displayed, Table, TableError};

/// Maximum number of remembered copies. The oldest are forgotten first.
pub(crate) const MAX_DROPPED: usize = 100;

/// A copy that this robot let go of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Dropped {
    /// Description of the file.
    pub(crate) description: Description,
    /// Whether the copy was let go of because the disk had too little free space.
    pub(crate) was_for_space: bool,
    /// Whether it was a file of this robot in its shared folder.
    #[serde(default)]
    pub(crate) was_own: bool,
    /// Time by the clock of this robot.
    pub(crate) time: Time,
}

/// The copies that this robot let go of lately. They are stored on the disk. A clone refers to the same list.
#[derive(Clone, Debug)]
pub(crate) struct DroppedFiles {
    rows: Table<Displayed<Cid>, Dropped>,
    files: Arc<Mutex<BTreeMap<Cid, Dropped>>>,
}

impl DroppedFiles {
    /// Reads the list from the disk. This call blocks.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub(crate) fn open(rows: Table<Displayed<Cid>, Dropped>) -> Result<Self, TableError> {
        let files = rows.read_all()?.readable.into_iter().map(|(Displayed(cid), row)| (cid, row)).collect();
        Ok(Self { rows, files: Arc::new(Mutex::new(files)) })
    }

    /// Returns the copies, the newest first.
    pub(crate) fn list(&self) -> Vec<(Cid, Dropped)> {
        let files = self.files.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut files: Vec<_> = files.into_iter().collect();
        files.sort_by_key(|(cid, row)| (std::cmp::Reverse(row.time), *cid));
        files
    }

    /// Notes a copy that was let go of.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(crate) async fn note(
        &self,
        cid: Cid,
        description: Description,
        (reason, time): (ReleaseReason, Time),
    ) -> Result<(), TableError> {
        let was_for_space = reason == ReleaseReason::Space;
        self.add(cid, Dropped { description, was_for_space, was_own: false, time }).await
    }

    /// Notes a file of this robot that was deleted to free space.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(crate) async fn note_freed(
        &self,
        cid: Cid,
        description: Description,
        time: Time,
    ) -> Result<(), TableError> {
        self.add(cid, Dropped { description, was_for_space: true, was_own: true, time }).await
    }

    async fn add(&self, cid: Cid, row: Dropped) -> Result<(), TableError> {
        let older = self.list().into_iter().filter(|(other, _)| *other != cid).skip(MAX_DROPPED - 1);
        let forgotten: Vec<Cid> = older.map(|(cid, _)| cid).collect();
        self.write(Some((cid, row)), forgotten).await
    }

    /// Removes a copy that this robot keeps again.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(crate) async fn forget(&self, cid: Cid) -> Result<(), TableError> {
        let is_noted = self.files.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&cid);
        if is_noted { self.write(None, vec![cid]).await } else { Ok(()) }
    }

    async fn write(&self, noted: Option<(Cid, Dropped)>, forgotten: Vec<Cid>) -> Result<(), TableError> {
        let added = noted.iter().map(|(cid, row)| (Displayed(*cid), Some(row.clone())));
        let removed = forgotten.iter().map(|cid| (Displayed(*cid), None));
        let rows: Vec<_> = added.chain(removed).collect();
        self.rows.write_async(&rows).await?;
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        files.extend(noted);
        files.retain(|cid, _| !forgotten.contains(cid));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{NOW, cid, description};
    use store::Store;

    fn numbered(number: u64) -> Cid {
        let mut bytes = cid().to_bytes();
        let end = bytes.len() - 8;
        bytes[end..].copy_from_slice(&number.to_be_bytes());
        Cid::try_from(bytes.as_slice()).unwrap()
    }

    #[tokio::test]
    async fn the_newest_copies_are_remembered_across_restarts_until_they_are_kept_again() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let store = Arc::new(Store::open(&folder.path().join("records.redb")).unwrap().0);
            DroppedFiles::open(store.table("logs/dropped")).unwrap()
        };
        let dropped = open();
        for number in 0..150 {
            let about = (ReleaseReason::Space, NOW.plus(number));
            dropped.note(numbered(number), description(1, "a.bag"), about).await.unwrap();
        }
        let numbers =
            |dropped: &DroppedFiles| -> Vec<Cid> { dropped.list().into_iter().map(|(cid, _)| cid).collect() };
        let newest: Vec<Cid> = (50..150).rev().map(numbered).collect();
        assert_eq!(numbers(&dropped), newest);
        dropped.forget(numbered(149)).await.unwrap();
        drop(dropped);
        assert_eq!(numbers(&open()), newest[1..]);
    }
}
