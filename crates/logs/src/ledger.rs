//! What this node has taken and kept, on its disk: so that nothing is hashed or checked again after a restart.

use crate::info::Description;
use crate::settle::Fingerprint;
use ipfs::Cid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use store::{ReadError, Store, WriteError};
use tokio::sync::{Notify, watch};

/// Names in the store's table of services.
const TAKEN: &str = "logs/taken";
const KEPT: &str = "logs/kept";

/// Why the ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The thread that writes it died.
    #[error("the thread that writes the ledger died")]
    Worker,
}

/// A file of the shared folder that was added to IPFS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What it looked like.
    pub fingerprint: Fingerprint,
    /// Its directory.
    pub cid: Cid,
}

/// A file that is to be kept, and for which there is no room now. It is looked for room again every few seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoRoom {
    /// Its directory.
    pub cid: Cid,
    /// Its name, as far as it is known.
    pub name: Option<String>,
    /// About how many bytes it needs.
    pub bytes: u64,
    /// What is full, in words for people.
    pub reason: String,
}

/// How a [`Taken`] stands in the store.
#[derive(Serialize, Deserialize)]
struct TakenRow {
    size: u64,
    modified: u64,
    cid: String,
}

#[derive(Debug, Default)]
struct Tables {
    taken: BTreeMap<String, Taken>,
    kept: BTreeMap<Cid, Description>,
}

/// Shared by the proposer and the keeper; a clone is the same ledger.
#[derive(Clone)]
pub struct Ledger {
    store: Arc<Store>,
    tables: Arc<Mutex<Tables>>,
    changed: Arc<Notify>,
    lost: Arc<Notify>,
    no_room: watch::Sender<Vec<NoRoom>>,
}

impl Ledger {
    /// Reads the ledger. It may block.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(store: Arc<Store>) -> Result<Self, LedgerError> {
        let mut tables = Tables::default();
        for (path, row) in store.service_all(TAKEN)? {
            if let Some(taken) = read_taken(&row) {
                tables.taken.insert(path, taken);
            }
        }
        for (cid, row) in store.service_all(KEPT)? {
            if let (Ok(cid), Ok(description)) = (cid.parse(), serde_json::from_slice(&row)) {
                tables.kept.insert(cid, description);
            }
        }
        let (changed, lost, no_room) = (Arc::default(), Arc::default(), watch::Sender::default());
        Ok(Self { store, tables: Arc::new(Mutex::new(tables)), changed, lost, no_room })
    }

    /// The files taken from the shared folder, by path.
    pub fn taken(&self) -> BTreeMap<String, Taken> {
        self.tables().taken.clone()
    }

    /// What is pinned and was checked, with what it is.
    pub fn kept(&self) -> BTreeMap<Cid, Description> {
        self.tables().kept.clone()
    }

    /// The files for which there is no room now.
    pub fn no_room(&self) -> watch::Receiver<Vec<NoRoom>> {
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

    /// Notes that files of the folder were added and pinned.
    pub(crate) async fn take(&self, files: Vec<(String, Taken, Description)>) -> Result<(), LedgerError> {
        let mut rows = Vec::new();
        for (path, taken, description) in &files {
            let Fingerprint { size, modified } = taken.fingerprint;
            let row = row(&TakenRow { size, modified, cid: taken.cid.to_string() });
            rows.extend([(TAKEN, path.clone(), Some(row)), kept_row(&taken.cid, description)]);
        }
        self.write(rows).await?;
        let mut tables = self.tables();
        for (path, taken, description) in files {
            tables.taken.insert(path, taken);
            tables.kept.insert(taken.cid, description);
        }
        drop(tables);
        self.changed.notify_one();
        Ok(())
    }

    /// Notes that files are no longer in the folder; what was shared of them stays shared.
    pub(crate) async fn forget_paths(&self, paths: Vec<String>) -> Result<(), LedgerError> {
        if paths.is_empty() {
            return Ok(());
        }
        self.write(paths.iter().map(|path| (TAKEN, path.clone(), None)).collect()).await?;
        let mut tables = self.tables();
        for path in &paths {
            tables.taken.remove(path);
        }
        Ok(())
    }

    /// Notes that a file of somebody else was checked and pinned.
    pub(crate) async fn keep(&self, cid: Cid, description: Description) -> Result<(), LedgerError> {
        self.write(vec![kept_row(&cid, &description)]).await?;
        self.tables().kept.insert(cid, description);
        Ok(())
    }

    /// Notes that files are not kept any more.
    pub(crate) async fn drop_kept(&self, cids: &[Cid]) -> Result<(), LedgerError> {
        self.write(cids.iter().map(|cid| (KEPT, cid.to_string(), None)).collect()).await?;
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

    /// Waits until the proposer took something.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    async fn write(&self, rows: Vec<Row>) -> Result<(), LedgerError> {
        let store = self.store.clone();
        let written = tokio::task::spawn_blocking(move || {
            // What is taken must be kept, not the other way round; each table in one commit, however many rows.
            [KEPT, TAKEN].into_iter().try_for_each(|service| {
                let of_service = rows.iter().filter(|(of, ..)| *of == service);
                let changes: Vec<_> =
                    of_service.map(|(_, key, value)| (key.as_str(), value.as_deref())).collect();
                if changes.is_empty() { Ok(()) } else { store.service_write(service, &changes) }
            })
        });
        Ok(written.await.map_err(|_| LedgerError::Worker)??)
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // The tables are whole at every moment at which a panic could happen.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Row = (&'static str, String, Option<Vec<u8>>);

fn kept_row(cid: &Cid, description: &Description) -> Row {
    (KEPT, cid.to_string(), Some(row(description)))
}

fn row(value: &impl Serialize) -> Vec<u8> {
    // Structs of texts and numbers always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default()
}

fn read_taken(row: &[u8]) -> Option<Taken> {
    let TakenRow { size, modified, cid } = serde_json::from_slice(row).ok()?;
    Some(Taken { fingerprint: Fingerprint { size, modified }, cid: cid.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::tests::{cid, description};

    #[tokio::test]
    async fn is_there_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("records.redb");
        let taken = Taken { fingerprint: Fingerprint { size: 5, modified: 7 }, cid: cid() };
        {
            let ledger = Ledger::open(Arc::new(Store::open(&file).unwrap().0)).unwrap();
            let of = |name: &str| (name.to_owned(), taken, description(1, name));
            ledger.take(vec![of("a.bag"), of("b.bag")]).await.unwrap();
            ledger.forget_paths(vec!["b.bag".into()]).await.unwrap();
            ledger.changed().await;
        }
        let ledger = Ledger::open(Arc::new(Store::open(&file).unwrap().0)).unwrap();
        assert_eq!(ledger.taken(), BTreeMap::from([("a.bag".to_owned(), taken)]));
        assert_eq!(ledger.kept(), BTreeMap::from([(cid(), description(1, "b.bag"))]));
        ledger.drop_kept(&[cid()]).await.unwrap();
        assert!(ledger.kept().is_empty());
    }
}
