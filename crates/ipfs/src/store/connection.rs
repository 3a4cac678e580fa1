//! The way to the pin database, which heals itself: after one I/O error (a full disk, say) redb refuses everything
//! until it is opened anew.
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use redb::Database;
use redb::backends::FileBackend;

#[cfg(test)]
use super::faults::Faults;

/// The pins are few and read rarely.
const CACHE_BYTES: usize = 1024 * 1024;

/// Where the database is, and how it is opened.
#[derive(Clone, Debug)]
pub(super) struct Place {
    path: PathBuf,
    #[cfg(test)]
    pub(super) faults: Faults,
}

impl Place {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            #[cfg(test)]
            faults: Faults::default(),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the database, or begins one.
    pub(super) fn open(&self) -> Result<Database, redb::Error> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path)?;
        let backend = FileBackend::new(file)?;
        #[cfg(test)]
        let backend = self.faults.over(backend);
        Ok(Database::builder().set_cache_size(CACHE_BYTES).create_with_backend(backend)?)
    }

    /// Opens the database that was there before; never begins one.
    fn open_again(&self) -> Result<Database, redb::Error> {
        if fs::metadata(&self.path)?.len() == 0 {
            return Err(redb::Error::Corrupted("the file has become empty".to_owned()));
        }
        let file = OpenOptions::new().read(true).open(&self.path)?;
        // What Linux could not bring to the disk it goes on showing from its memory. Only what is on the disk counts.
        // It is advice; without it we are no worse.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        self.open()
    }
}

/// The open database, for one piece of work at a time.
#[derive(Debug)]
pub(super) struct Connection {
    place: Place,
    /// `None` after an I/O error, until it is opened anew.
    database: Mutex<Option<Database>>,
}

impl Connection {
    pub(super) fn new(place: Place, database: Database) -> Self {
        Self { place, database: Mutex::new(Some(database)) }
    }

    /// Does `work`; after an earlier I/O error with the database opened anew. Not to be called within `work`.
    pub(super) fn run<T>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error>,
    ) -> Result<T, redb::Error> {
        // After a panic meanwhile the database is whole, or redb says that it is not.
        let mut slot = self.database.lock().unwrap_or_else(PoisonError::into_inner);
        let database = match slot.take() {
            Some(database) => database,
            None => self.place.open_again()?,
        };
        let result = work(&database);
        if !result.as_ref().is_err_and(needs_opening_anew) {
            *slot = Some(database);
        }
        result
    }
}

/// Whether redb refuses everything after this error.
fn needs_opening_anew(error: &redb::Error) -> bool {
    use redb::Error::{DatabaseClosed, Io, LockPoisoned, PreviousIo};
    matches!(error, Io(_) | PreviousIo | DatabaseClosed | LockPoisoned(_))
}
