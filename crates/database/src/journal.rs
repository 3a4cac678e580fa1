//! The operations on a file, in order.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One successful call that changes a file or makes changes durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bytes were written at an offset.
    Write {
        /// Where the first byte went.
        offset: u64,
        /// What was written.
        bytes: Vec<u8>,
    },
    /// The file was given this length.
    SetLength(u64),
    /// All earlier changes of the file are durable from here on.
    Sync,
    /// The file's name in its folder is durable from here on.
    SyncFolder,
}

/// A list of operations. The default one records nothing. A clone is the same list.
#[derive(Clone, Debug, Default)]
pub struct Journal(Option<Arc<Mutex<Vec<Operation>>>>);

impl Journal {
    /// Returns an empty list that records.
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

    /// Returns whether nothing was recorded so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn list(&self) -> Option<MutexGuard<'_, Vec<Operation>>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
