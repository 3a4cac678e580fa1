//! Configuration, reports and errors of the store.
use std::io;
use std::path::PathBuf;

use cid::Cid;
use database::is_out_of_space;

/// Configuration of a store.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// Folder of the store; created if it does not exist.
    pub directory: PathBuf,
    /// Maximum size of all blocks together in bytes.
    pub max_bytes: u64,
    /// Number of bytes of the file system that stay free for other programs.
    pub min_free_bytes: u64,
}

/// Error of a store operation.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store is full even without all blocks that may be removed.
    #[error("the block store is full: {used} of {max} bytes are pinned or in use")]
    Full {
        /// Number of bytes in the store.
        used: u64,
        /// Size limit in bytes.
        max: u64,
    },
    /// The free space that must remain on the file system is reached.
    #[error("the disk is full: {free} bytes are free, {min_free} must stay free")]
    DiskFull {
        /// Number of free bytes for this user.
        free: u64,
        /// Number of bytes that must stay free.
        min_free: u64,
    },
    /// The disk is full, or the quota of this user is used up.
    #[error("the disk is full: there is no room to {action}")]
    NoSpace {
        /// The action that failed.
        action: &'static str,
    },
    /// The operating system reported an error.
    #[error("the block store cannot {action}: {source}")]
    Io {
        /// The action that failed.
        action: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The pin database reported an error.
    #[error("the pin database failed: {0}")]
    Pins(#[source] Box<redb::Error>),
    /// Another process has the store open.
    #[error("another process uses the block store in {0}")]
    InUse(PathBuf),
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Io(error) if is_out_of_space(&error) => Self::NoSpace { action: "write the pins" },
            error => Self::Pins(Box::new(error)),
        }
    }
}

impl StoreError {
    /// Returns whether the only problem is lack of space. Then nothing is damaged, and the operation can succeed later.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::DiskFull { .. } | Self::NoSpace { .. })
    }
}

/// Adds the failed action to an I/O error.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| match source.into() {
            source if is_out_of_space(&source) => StoreError::NoSpace { action },
            source => StoreError::Io { action, source },
        })
    }
}

/// Report on opening a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Number of blocks found.
    pub blocks: usize,
    /// Size of these blocks in bytes.
    pub bytes: u64,
    /// Number of temporary files of a killed process that were removed.
    pub temporary_removed: usize,
    /// New path of the pin database, if it was unreadable and was moved aside. Then all pins are lost and must be
    /// created again.
    pub pins_set_aside: Option<PathBuf>,
    /// Whether there are blocks but no pin database. Then the database was removed, and all pins are lost.
    pub pins_missing: bool,
    /// Pinned roots with missing blocks; they must be fetched and pinned again.
    pub incomplete_pins: Vec<Cid>,
    /// Number of files that are served in place.
    pub files: usize,
    /// Number of files that are no longer served in place because they are gone or shorter.
    pub files_gone: usize,
}

/// Fill level of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Size of all blocks in bytes.
    pub used_bytes: u64,
    /// Maximum size of all blocks in bytes.
    pub max_bytes: u64,
    /// Number of blocks.
    pub blocks: usize,
}

/// Result of [`Store::collect_garbage`](super::Store::collect_garbage).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Number of removed blocks.
    pub blocks: usize,
    /// Size of these blocks in bytes.
    pub bytes: u64,
    /// Number of files that are no longer served in place. The files themselves are not touched.
    pub files: usize,
}

/// A file that is served in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencedFile {
    /// Path of the file.
    pub path: PathBuf,
    /// Length in bytes when the file was added.
    pub length: u64,
    /// Number of blocks of the file.
    pub blocks: usize,
    /// Number of these blocks that have changed and are no longer served.
    pub missing_blocks: usize,
    /// Present state of the file.
    pub state: FileState,
}

/// State of a file that is served in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// Length, time of change and inode of the file are unchanged.
    Matches,
    /// Length, time of change or inode of the file has changed. Pieces that still have the right hash are served.
    Changed,
    /// The file is gone or cannot be read.
    Gone,
}
