//! Errors of the store. Each message tells the operator how to remove the cause.

use std::io;
use std::path::PathBuf;

/// Reason why the store cannot be opened. A damaged file is not such a reason, because it is set aside.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process holds the file.
    #[error(
        "another dt-swarm runs on this folder and holds {0}; stop it, or use another folder for this one"
    )]
    InUse(PathBuf),
    /// The file, its lock file or its folder cannot be accessed.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// Operation that was tried.
        what: &'static str,
        /// File of the operation.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// The database failed for a reason other than the content of the file.
    #[error("cannot use the database {path}: {source}")]
    Database {
        /// Path of the database.
        path: PathBuf,
        /// Error of the database.
        source: Box<redb::Error>,
    },
}

/// Error for a database that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read from the store: {0}")]
pub struct ReadError(#[source] Box<redb::Error>);

impl<E: Into<redb::Error>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self(Box::new(error.into()))
    }
}

/// Reason why a write failed. [`crate::Store::write`] describes the content of the disk afterwards.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The disk has no free space.
    #[error("the disk with the store is full; free some space on it, and dt-swarm continues by itself")]
    DiskFull,
    /// The database refused the write, or could not be reopened after an error of the disk.
    #[error("cannot write to the store: {0}")]
    Database(#[source] Box<redb::Error>),
    /// The name, a key or a value of a service is over its limit.
    #[error("{what} of a service has at most {most} bytes, not {length}")]
    TooLarge {
        /// Part that is too long.
        what: &'static str,
        /// Maximum length in bytes.
        most: usize,
        /// Actual length in bytes.
        length: usize,
    },
}

impl<E: Into<redb::Error>> From<E> for WriteError {
    fn from(error: E) -> Self {
        match error.into() {
            redb::Error::Io(error) if database::is_out_of_space(&error) => Self::DiskFull,
            other => Self::Database(Box::new(other)),
        }
    }
}
