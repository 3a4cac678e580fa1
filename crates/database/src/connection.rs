//! An open database that reopens itself.

use crate::Location;
use redb::Database;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A database that several threads can use, and that reopens itself after an I/O error.
#[derive(Debug)]
pub struct Connection {
    location: Location,
    slot: RwLock<Slot>,
}

#[derive(Debug)]
struct Slot {
    /// `None` while the database cannot be reopened.
    database: Option<Database>,
    /// Set by a caller that got an I/O error, under the shared lock. Reopening takes the exclusive lock, so an error of the
    /// old database never marks the new one as failed.
    has_failed: AtomicBool,
}

impl Connection {
    /// Takes over a database that was opened at `location`.
    pub fn new(location: Location, database: Database) -> Self {
        let slot = Slot { database: Some(database), has_failed: AtomicBool::new(false) };
        Self { location, slot: RwLock::new(slot) }
    }

    /// Runs `work` on the database. After an earlier I/O error, the database is reopened first.
    ///
    /// `work` must not call this function again: that could deadlock.
    ///
    /// # Errors
    /// Returns an error if the database cannot be reopened, or if `work` fails.
    pub fn run<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let slot = self.usable()?;
        let result = slot.database.as_ref().map_or(Err(redb::Error::DatabaseClosed), work);
        if result.as_ref().is_err_and(needs_reopening) {
            slot.has_failed.store(true, Ordering::Release);
        }
        result
    }

    // A panic during reopening poisons the lock. The slot is then empty, which is a valid state.
    fn usable(&self) -> Result<RwLockReadGuard<'_, Slot>, redb::Error> {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        if slot.is_usable() {
            return Ok(slot);
        }
        drop(slot);
        let mut slot = self.slot.write().unwrap_or_else(PoisonError::into_inner);
        if !slot.is_usable() {
            // The old database is closed first, because it holds redb's lock on the file.
            slot.database = None;
            slot.database = Some(self.location.reopen()?);
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

/// Returns whether redb refuses all further calls after this error.
fn needs_reopening(error: &redb::Error) -> bool {
    use redb::Error::{DatabaseClosed, Io, LockPoisoned, PreviousIo};
    matches!(error, Io(_) | PreviousIo | DatabaseClosed | LockPoisoned(_))
}
