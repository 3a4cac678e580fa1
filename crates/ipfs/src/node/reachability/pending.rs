//! The numbers that this node expects from servers.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The numbers of the checks in progress, and whether a server returned them. All clones share the same state.
#[derive(Clone, Debug, Default)]
pub(super) struct Pending(Arc<Mutex<BTreeMap<u64, bool>>>);

impl Pending {
    /// Expects a number until the returned guard is dropped.
    pub(super) fn expect(&self, nonce: u64) -> Expected {
        self.lock().insert(nonce, false);
        Expected { pending: self.clone(), nonce }
    }

    /// Records that a server returned a number. Returns whether it was expected.
    pub(super) fn take(&self, nonce: u64) -> bool {
        self.lock().get_mut(&nonce).map(|is_taken| *is_taken = true).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A number that is expected.
#[derive(Debug)]
pub(super) struct Expected {
    pending: Pending,
    nonce: u64,
}

impl Expected {
    /// Returns whether a server returned the number.
    pub(super) fn is_taken(&self) -> bool {
        self.pending.lock().get(&self.nonce).copied().unwrap_or_default()
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.pending.lock().remove(&self.nonce);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_taken_only_while_it_is_expected() {
        let pending = Pending::default();
        assert!(!pending.take(7));
        let expected = pending.expect(7);
        assert!(!expected.is_taken() && !pending.take(8) && pending.take(7) && expected.is_taken());
        drop(expected);
        assert!(!pending.take(7));
    }
}
