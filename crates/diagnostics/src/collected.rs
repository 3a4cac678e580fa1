//! Access to the rows of a collector for tasks. Its functions run on the thread pool for blocking work.

use crate::row_store::{RowStore, RowStoreError};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::{JoinError, spawn_blocking};

/// Error of the rows of a collector.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectedError {
    /// The store fails.
    #[error(transparent)]
    Store(#[from] RowStoreError),
    /// A function panicked, or the daemon is stopping.
    #[error("the rows of other robots cannot be used: {0}")]
    Thread(#[from] JoinError),
}

/// The rows of a collector. The file is opened at its first use. A clone refers to the same rows.
#[derive(Clone, Debug)]
pub(crate) struct CollectedRows {
    path: Arc<PathBuf>,
    store: Arc<Mutex<Option<RowStore>>>,
}

impl CollectedRows {
    /// Returns the rows in the file at `path`, which need not exist.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path: Arc::new(path), store: Arc::default() }
    }

    /// Runs a function that may block. Makes the file if there is none.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened, or if the function fails.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        function: impl FnOnce(&mut RowStore) -> Result<T, RowStoreError> + Send + 'static,
    ) -> Result<T, CollectedError> {
        let rows = self.clone();
        Ok(spawn_blocking(move || function(&mut rows.opened()?)).await??)
    }

    /// Runs a function like [`Self::run`]; returns `None` if there is no file.
    ///
    /// # Errors
    /// Returns the errors of [`Self::run`].
    pub(crate) async fn run_if_any<T: Send + 'static>(
        &self,
        function: impl FnOnce(&mut RowStore) -> Result<T, RowStoreError> + Send + 'static,
    ) -> Result<Option<T>, CollectedError> {
        let rows = self.clone();
        let run = move || match rows.path.exists() {
            true => function(&mut rows.opened()?).map(Some),
            false => Ok(None),
        };
        Ok(spawn_blocking(run).await??)
    }

    /// Returns the store. This call blocks.
    fn opened(&self) -> Result<RowStore, RowStoreError> {
        // The slot has a store or none, so a poisoned lock is safe to use.
        let mut slot = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*slot {
            return Ok(store.clone());
        }
        let store = RowStore::open(&self.path)?;
        *slot = Some(store.clone());
        Ok(store)
    }
}
