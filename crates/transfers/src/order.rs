//! What can be ordered, and what it may cost.

use crate::protocol::{MAX_PATH_BYTES, Order};
use ipfs::Cid;
use ipfs::node::FetchLimits;
use std::time::Duration;

/// Bytes that a directory, an info file and links to many chunks need besides the file. Large files need a hundredth more.
const OVERHEAD: u64 = 64 * 1024;
/// Minimum size, in bytes, of the chunks of an honest file, except the last.
const SMALLEST_CHUNK: u64 = 16 * 1024;
/// Time without a block after which another download that waits gets the slot.
const STALL: Duration = Duration::from_secs(30);

/// Why an order makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("{0:?} is no CID")]
    Cid(String),
    #[error("a name or a path has more than {MAX_PATH_BYTES} bytes")]
    Long,
}

impl Order {
    /// Checks what a client ordered.
    pub(crate) fn check(&self) -> Result<(), OrderError> {
        if self.root().is_none() {
            return Err(OrderError::Cid(self.cid.chars().take(100).collect()));
        }
        let path = self.destination.as_ref().map_or(0, |to| to.path.as_os_str().len());
        let payload = self.payload.as_ref().map_or(0, String::len);
        if self.name.len().max(path).max(payload) > MAX_PATH_BYTES {
            return Err(OrderError::Long);
        }
        Ok(())
    }

    /// Returns the root; `None` when the CID is none, which an order that was checked never has.
    pub(crate) fn root(&self) -> Option<Cid> {
        self.cid.parse().ok()
    }

    /// Returns whether `other` orders the same content to the same place.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let to = |order: &Self| order.destination.as_ref().map(|to| to.path.clone());
        let what = |order: &Self| (order.cid.clone(), order.payload.clone(), order.pin);
        what(self) == what(other) && to(self) == to(other)
    }

    /// Returns the limits of the fetch: the claimed size and a little more, or `most` bytes when no size is claimed. They are
    /// never above `most`, which is all that the store may have.
    pub(crate) fn limits(&self, most: u64) -> FetchLimits {
        let size = self.size.unwrap_or(most).min(most);
        let max_bytes = size.saturating_add(size / 100).saturating_add(OVERHEAD).min(most);
        let max_blocks = usize::try_from(max_bytes / SMALLEST_CHUNK).unwrap_or(usize::MAX).saturating_add(16);
        FetchLimits { max_bytes, max_blocks, stall_timeout: STALL, priority: self.priority }
    }
}
