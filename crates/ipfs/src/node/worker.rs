//! Runs blocking work outside the asynchronous threads.

use super::types::PinError;
use crate::store::StoreError;
use crate::unixfs::{AddError, ExportError, ReadError};

/// Runs blocking work on a thread of tokio's blocking pool.
pub(super) async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, E>
where
    T: Send + 'static,
    E: WorkerDied + Send + 'static,
{
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(E::worker_died()))
}

/// An error type that can report that a worker thread panicked.
pub(super) trait WorkerDied {
    fn worker_died() -> Self;
}

impl WorkerDied for PinError {
    fn worker_died() -> Self {
        Self::Worker
    }
}

impl WorkerDied for StoreError {
    fn worker_died() -> Self {
        Self::Io { action: "finish its work", source: std::io::Error::other("a worker of the node died") }
    }
}

impl WorkerDied for ReadError {
    fn worker_died() -> Self {
        Self::Store(StoreError::worker_died())
    }
}

impl WorkerDied for AddError {
    fn worker_died() -> Self {
        Self::Store(StoreError::worker_died())
    }
}

impl WorkerDied for ExportError {
    fn worker_died() -> Self {
        Self::Read(ReadError::worker_died())
    }
}
