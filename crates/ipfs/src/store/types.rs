//! What a store is told, and what it tells.
use std::io;
use std::path::PathBuf;

use cid::Cid;
use database::is_out_of_space;

/// Where a store is and how large it may grow.
#[derive(Clone, Debug)]
pub struct StoreConfig {
    /// The folder of the store; made when it does not exist.
    pub directory: PathBuf,
    /// The most bytes that all blocks together may have.
    pub max_bytes: u64,
    /// How many bytes of the file system stay free for others.
    pub min_free_bytes: u64,
}

/// Why the store did not do what it was asked to.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Even without all that may be thrown away there would be no room.
    #[error("the block store is full: {used} of {max} bytes are pinned or in use")]
    Full {
        /// Bytes in the store.
        used: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// The file system has to keep some bytes free.
    #[error("the disk is full: {free} bytes are free, {min_free} have to stay free")]
    DiskFull {
        /// Bytes free for this user.
        free: u64,
        /// Bytes that have to stay free.
        min_free: u64,
    },
    /// The operating system has no room left, or gives this user no more.
    #[error("the disk is full: there is no room to {action}")]
    NoSpace {
        /// What was tried.
        action: &'static str,
    },
    /// The operating system refused something.
    #[error("the block store cannot {action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The pin database refused something.
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
    /// Whether it only lacks room: nothing is broken, and when there is room again it goes on.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. } | Self::DiskFull { .. } | Self::NoSpace { .. })
    }
}

/// Names what was tried, for the error.
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

/// What was found, and put right, when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenReport {
    /// Blocks found.
    pub blocks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Temporary files of a killed process that were removed.
    pub temporary_removed: usize,
    /// The pin database could not be read and was moved here; all pins are gone and have to be made again.
    pub pins_set_aside: Option<PathBuf>,
    /// There are blocks but no pin database at all: somebody removed it, and all pins are gone.
    pub pins_missing: bool,
    /// Pinned roots of which blocks are missing: fetch and pin them again.
    pub incomplete_pins: Vec<Cid>,
    /// Files served in place that are there and look as they did.
    pub files: usize,
    /// Files served in place that are gone, or shorter: they are served no more.
    pub files_gone: usize,
}

/// How full the store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of all blocks.
    pub used_bytes: u64,
    /// The most bytes that they may have.
    pub max_bytes: u64,
    /// How many blocks there are.
    pub blocks: usize,
}

/// What [`Store::collect_garbage`](super::Store::collect_garbage) threw away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freed {
    /// Blocks.
    pub blocks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are served in place no more. They are not touched.
    pub files: usize,
}

/// A file that is served in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencedFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its length when it was added, in bytes.
    pub length: u64,
    /// Of how many blocks it consists.
    pub blocks: usize,
    /// How many of these were found to be other than they were, and are not served any more.
    pub missing_blocks: usize,
    /// How it looks now.
    pub state: FileState,
}

/// How a file looks that is served in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// As it did.
    Matches,
    /// Not as it did. What of it still has the right hash is served.
    Changed,
    /// It is not there, or may not be read.
    Gone,
}
