//! The robots that list files in their catalogues instead of in records.

use dcache::PeerId;
use ipfs::Cid;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// Finds the robots whose catalogues list a file.
type Find = Box<dyn Fn(&Cid) -> Vec<PeerId> + Send + Sync>;

/// The robots that list files in their catalogues. The service `logs` reads the catalogues; other services ask it here. A
/// clone refers to the same catalogues.
#[derive(Clone, Default)]
pub struct ListedBy(Arc<OnceLock<Find>>);

impl ListedBy {
    /// Sets the function that finds the robots. A second call has no effect.
    pub fn set(&self, find: impl Fn(&Cid) -> Vec<PeerId> + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(find));
    }

    /// Returns the robots whose catalogues list a file. Whether this counts now depends on their records.
    pub fn robots(&self, cid: &Cid) -> Vec<PeerId> {
        self.0.get().map(|find| find(cid)).unwrap_or_default()
    }
}

impl fmt::Debug for ListedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ListedBy").field("is_set", &self.0.get().is_some()).finish()
    }
}
