//! Errors, with messages for the person who has to repair the cause.

use std::io;
use std::path::PathBuf;

/// Why there is no store to work with. A damaged file is no such reason: it is set aside.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody else holds the file.
    #[error("another dt-swarm runs on this folder: it holds {0}; stop it, or give this one another folder")]
    InUse(PathBuf),
    /// The file, or what is beside it, cannot be read or written.
    #[error("cannot {what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A freshly made database fails as well, so it is not the file's content.
    #[error("cannot use the database {path}: {source}")]
    Database {
        /// The file.
        path: PathBuf,
        /// What the database said.
        source: Box<redb::Error>,
    },
}

/// The database could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read from the store: {0}")]
pub struct ReadError(#[source] Box<redb::Error>);

impl<E: Into<redb::Error>> From<E> for ReadError {
    fn from(error: E) -> Self {
        Self(Box::new(error.into()))
    }
}

/// The write did not succeed; see [`crate::Store::write`] for what is on the disk.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// No room is left.
    #[error("the disk that holds the store is full; make room there, and dt-swarm goes on by itself")]
    DiskFull,
    /// The database refused, or could not be opened anew after the disk had failed.
    #[error("cannot write to the store: {0}")]
    Database(#[source] Box<redb::Error>),
    /// A service's name, key or value is over its bound.
    #[error("{what} of a service has at most {most} bytes, not {length}")]
    TooLarge {
        /// Which of them.
        what: &'static str,
        /// Its bound.
        most: usize,
        /// Its length.
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
