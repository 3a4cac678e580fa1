//! The file of a database, and the settings for opening it.

#[cfg(any(test, feature = "fault-injection"))]
use crate::{Faults, Operation};
use redb::backends::FileBackend;
use redb::{Database, DatabaseError};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Settings for opening a database.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Maximum memory for cached pages, in bytes.
    pub cache_bytes: usize,
    /// Whether opening verifies the checksum of every page.
    pub verifies_checksums: bool,
    /// Returns whether the opened file is still the caller's database. Called when the database is reopened after an
    /// error, since the file may have been replaced.
    pub is_ours: fn(&Database) -> Result<bool, redb::Error>,
}

/// The file of a database and the settings to open it with. A clone shares the injected faults.
#[derive(Clone, Debug)]
pub struct Location {
    file: PathBuf,
    settings: Settings,
    #[cfg(any(test, feature = "fault-injection"))]
    faults: Faults,
}

impl Location {
    /// Creates a location. The file is not opened.
    pub fn new(file: PathBuf, settings: Settings) -> Self {
        Self {
            file,
            settings,
            #[cfg(any(test, feature = "fault-injection"))]
            faults: Faults::default(),
        }
    }

    /// Returns this location on a simulated disk, which fails when a test injects a fault with `faults`.
    #[cfg(any(test, feature = "fault-injection"))]
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Returns the path of the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Opens the database. Creates one if the file is missing or empty. Only the owner can read a new file.
    ///
    /// # Errors
    /// Returns an error if another process has opened the database, if the file is not a database, or if it cannot be read
    /// or written.
    pub fn open_or_create(&self) -> Result<Database, DatabaseError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        self.open(options.open(&self.file)?)
    }

    /// Opens the same database again. Never creates one.
    pub(crate) fn reopen(&self) -> Result<Database, redb::Error> {
        let file = OpenOptions::new().read(true).write(true).open(&self.file)?;
        if file.metadata()?.len() == 0 {
            return Err(io::Error::new(ErrorKind::InvalidData, "the file has become empty").into());
        }
        // After a failed write, Linux still returns the new data from its page cache, although it is not on the disk. If a
        // commit builds on such data, a power cut can destroy the whole database. This call drops the cached pages. It is
        // only advice, so its failure is ignored.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        let database = self.open(file)?;
        if (self.settings.is_ours)(&database)? {
            Ok(database)
        } else {
            Err(redb::Error::Corrupted("the file contains another database than before".to_owned()))
        }
    }

    /// Syncs the folder of the file, so that the file's name survives a power cut.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be opened or synced.
    pub fn sync_folder(&self) -> io::Result<()> {
        crate::sync_folder(&self.file)?;
        #[cfg(any(test, feature = "fault-injection"))]
        self.faults.journal().note(|| Operation::SyncFolder);
        Ok(())
    }

    fn open(&self, file: File) -> Result<Database, DatabaseError> {
        let backend = FileBackend::new(file)?;
        #[cfg(any(test, feature = "fault-injection"))]
        let backend = self.faults.over(backend);
        redb::Builder::new()
            .set_cache_size(self.settings.cache_bytes)
            .set_check_integrity_on_open(self.settings.verifies_checksums)
            .create_with_backend(backend)
    }
}
