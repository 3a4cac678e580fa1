//! What a store tells its disk, in order.

use std::sync::{Arc, Mutex, PoisonError};

/// One call that changes something, or makes changes certain. It succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Write {
        offset: u64,
        bytes: Vec<u8>,
    },
    SetLength(u64),
    /// What was done to the file before is certain from here on.
    Sync,
    /// The file's name in its folder is certain from here on.
    SyncFolder,
}

/// A list of operations, if somebody asked for one. A clone is the same list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Journal(Option<Arc<Mutex<Vec<Operation>>>>);

impl Journal {
    /// An empty list that takes notes; the default one takes none.
    pub(crate) fn begin() -> Self {
        Self(Some(Arc::default()))
    }

    pub(crate) fn note(&self, operation: impl FnOnce() -> Operation) {
        if let Some(list) = &self.0 {
            list.lock().unwrap_or_else(PoisonError::into_inner).push(operation());
        }
    }

    /// What was noted so far.
    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.0.as_ref().map_or(Vec::new(), |list| list.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |list| list.lock().unwrap_or_else(PoisonError::into_inner).len())
    }
}
