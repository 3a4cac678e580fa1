//! Where a database is, and how it is opened.

#[cfg(any(test, feature = "fault-injection"))]
use crate::{Faults, Operation};
use redb::backends::FileBackend;
use redb::{Database, DatabaseError};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// How a database is opened.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Memory for cached pages, in bytes.
    pub cache_bytes: usize,
    /// Whether opening verifies the checksum of every page.
    pub verifies_checksums: bool,
    /// Returns whether an opened database is the caller's. Asked when the database is reopened after an error, since the
    /// file may have been replaced meanwhile.
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
    /// Names the file of a database. Nothing is opened.
    pub fn new(file: PathBuf, settings: Settings) -> Self {
        Self {
            file,
            settings,
            #[cfg(any(test, feature = "fault-injection"))]
            faults: Faults::default(),
        }
    }

    /// Puts the database on a disk that fails when `faults` says so.
    #[cfg(any(test, feature = "fault-injection"))]
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Returns the path of the file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Opens the database, or creates one when the file is missing or empty. A new file is its owner's alone.
    ///
    /// # Errors
    /// When another process has it, the file is no database, or the system refuses to read or write it.
    pub fn open_or_create(&self) -> Result<Database, DatabaseError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        self.open(options.open(&self.file)?)
    }

    /// Opens the database that was open before; never creates one.
    pub(crate) fn reopen(&self) -> Result<Database, redb::Error> {
        let file = OpenOptions::new().read(true).write(true).open(&self.file)?;
        if file.metadata()?.len() == 0 {
            return Err(io::Error::new(ErrorKind::InvalidData, "the file has become empty").into());
        }
        // Linux goes on showing from its page cache what it failed to write. Only what is on the disk counts: a commit
        // on top of the rest would lose everything when the power fails. This is advice; without it nothing is worse.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
        let database = self.open(file)?;
        if (self.settings.is_ours)(&database)? {
            Ok(database)
        } else {
            Err(redb::Error::Corrupted("the file holds another database than before".to_owned()))
        }
    }

    /// Syncs the folder of the file, so that the file's name survives a loss of power.
    ///
    /// # Errors
    /// When the folder cannot be opened or synced.
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
