//! The files of which a service of this node needs a copy.

use ipfs::Cid;
use std::collections::BTreeSet;

/// Files of other nodes of which a service of this node needs a copy for a while. Only the service `logs` fetches, pins
/// and states files; the other service tells it what it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedFiles {
    /// Files to fetch and keep, even if this node keeps no files of other nodes otherwise.
    pub wanted: BTreeSet<Cid>,
    /// Files that were wanted and are not needed any more. The service `logs` removes a file from this set once it has
    /// unpinned it, or keeps it for a reason of its own.
    pub released: BTreeSet<Cid>,
}
