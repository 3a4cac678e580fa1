//! The way to the database, which heals itself.
//!
//! After one I/O error redb refuses everything until it is opened anew. A robot's card does fill up, and has room again
//! once somebody deletes logs; so whoever comes after an error opens the database anew first.

use crate::open::{CACHE_BYTES, is_ours};
use crate::set_aside::sync_folder;
use redb::{Database, DatabaseError, backends::FileBackend};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Where the database is, and how to open it.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) file: PathBuf,
    #[cfg(any(test, feature = "fault-injection"))]
    pub(crate) faults: crate::Faults,
}

impl Place {
    /// Opens what is there, or begins a database. Every page's checksum is verified.
    pub(crate) fn open_or_begin(&self) -> Result<Database, DatabaseError> {
        self.open(OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.file)?)
    }

    /// Opens the database that was there before; never begins one.
    fn open_again(&self) -> Result<Database, redb::Error> {
        let file = OpenOptions::new().read(true).write(true).open(&self.file)?;
        if file.metadata()?.len() == 0 {
            return Err(io::Error::new(ErrorKind::InvalidData, "the store's file has become empty").into());
        }
        // What Linux could not bring to the disk it goes on showing from its memory. Only what is on the disk counts:
        // building upon the rest would lose everything when the power goes. It is advice; without it we are no worse.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        let database = self.open(file)?;
        if is_ours(&database)? {
            Ok(database)
        } else {
            Err(redb::Error::Corrupted("the file holds another database than before".to_owned()))
        }
    }

    /// Makes the file's name survive a loss of power; the file's own sync does not.
    pub(crate) fn sync_folder(&self) -> io::Result<()> {
        sync_folder(&self.file)?;
        #[cfg(test)]
        self.faults.journal.note(|| crate::power_cut::Operation::SyncFolder);
        Ok(())
    }

    fn open(&self, file: File) -> Result<Database, DatabaseError> {
        let backend = FileBackend::new(file)?;
        #[cfg(any(test, feature = "fault-injection"))]
        let backend = self.faults.over(backend);
        redb::Builder::new()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)
    }
}

/// The open database, for one operation at a time or many.
#[derive(Debug)]
pub(crate) struct Connection {
    place: Place,
    slot: RwLock<Slot>,
}

#[derive(Debug)]
struct Slot {
    /// `None` while it cannot be opened.
    database: Option<Database>,
    /// Set by whoever uses the database, so under a lock that others share. Only who opens it anew has the lock alone:
    /// thus an error of the old database never speaks against the new one.
    has_failed: AtomicBool,
}

impl Connection {
    pub(crate) fn new(place: Place, database: Database) -> Self {
        let slot = Slot { database: Some(database), has_failed: AtomicBool::new(false) };
        Self { place, slot: RwLock::new(slot) }
    }

    /// Does `work`; after an earlier I/O error with the database opened anew. Not to be called within `work`.
    pub(crate) fn run<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        let slot = self.usable()?;
        let result = slot.database.as_ref().map_or(Err(redb::Error::DatabaseClosed), work);
        if result.as_ref().is_err_and(needs_opening_anew) {
            slot.has_failed.store(true, Ordering::Release);
        }
        result
    }

    // A lock is poisoned by a panic while the database was opened; the slot is empty then, which is no wrong state.
    fn usable(&self) -> Result<RwLockReadGuard<'_, Slot>, redb::Error> {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        if slot.is_usable() {
            return Ok(slot);
        }
        drop(slot);
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        if !slot.is_usable() {
            // The old one must be closed first: it holds redb's own lock on the file.
            slot.database = None;
            slot.database = Some(self.place.open_again()?);
            slot.has_failed = AtomicBool::new(false);
        }
        Ok(RwLockWriteGuard::downgrade(slot))
    }
}

impl Slot {
    fn is_usable(&self) -> bool {
        self.database.is_some() && !self.has_failed.load(Ordering::Acquire)
    }
}

/// Whether redb refuses everything after this error.
fn needs_opening_anew(error: &redb::Error) -> bool {
    use redb::Error::{DatabaseClosed, Io, LockPoisoned, PreviousIo};
    matches!(error, Io(_) | PreviousIo | DatabaseClosed | LockPoisoned(_))
}
