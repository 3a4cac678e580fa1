//! What a store is told, and what it tells.
use std::io;
use std::path::PathBuf;

use cid::Cid;

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
    Pins(Box<redb::Error>),
    /// Another process has the store open.
    #[error("another process uses the block store in {0}")]
    InUse(PathBuf),
}

impl<E: Into<redb::Error>> From<E> for StoreError {
    fn from(error: E) -> Self {
        Self::Pins(Box::new(error.into()))
    }
}

/// Names what was tried, for the error.
pub(crate) trait Context<T> {
    fn context(self, action: &'static str) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, action: &'static str) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { action, source: source.into() })
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
