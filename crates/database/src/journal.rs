//! Records the operations on a file, in order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One successful call that changes a file or makes changes durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bytes were written at an offset.
    Write {
        /// Offset of the first byte.
        offset: u64,
        /// The bytes that were written.
        bytes: Vec<u8>,
    },
    /// The file was truncated or extended to this length in bytes.
    SetLength(u64),
    /// The file was synced: all earlier changes of it are durable.
    Sync,
    /// The folder was synced: the file's name is durable.
    SyncFolder,
}

/// A list of operations. The default journal records nothing. A clone shares the same list.
#[derive(Clone, Debug, Default)]
pub struct Journal(Option<Arc<Mutex<Vec<Operation>>>>);

impl Journal {
    /// Creates an empty journal that records operations.
    pub fn recording() -> Self {
        Self(Some(Arc::default()))
    }

    pub(crate) fn note(&self, operation: impl FnOnce() -> Operation) {
        if let Some(mut list) = self.list() {
            list.push(operation());
        }
    }

    /// Returns a copy of all operations so far.
    pub fn operations(&self) -> Vec<Operation> {
        self.list().map_or(Vec::new(), |list| list.clone())
    }

    /// Returns the number of operations so far.
    pub fn len(&self) -> usize {
        self.list().map_or(0, |list| list.len())
    }

    /// Returns whether no operation was recorded so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn list(&self) -> Option<MutexGuard<'_, Vec<Operation>>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
