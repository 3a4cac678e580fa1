//! Checks orders of downloads, and derives the limits of their fetches.

use crate::protocol::{MAX_PATH_BYTES, Order};
use ipfs::Cid;
use ipfs::node::FetchLimits;
use std::time::Duration;

/// Number of bytes that are allowed beside the content of the file: for a directory, an info file and the links to the
/// chunks. One percent of the file size is added for the links of a large file.
const OVERHEAD: u64 = 64 * 1024;
/// Minimum size, in bytes, of the chunks of an honest file, except the last chunk.
const SMALLEST_CHUNK: u64 = 16 * 1024;
/// Time without a block after which a download stalls, so that a waiting download gets its slot.
const STALL: Duration = Duration::from_secs(30);

/// Reason why an order is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("{0:?} is not a CID")]
    Cid(String),
    #[error("a name or a path has more than {MAX_PATH_BYTES} bytes")]
    Long,
}

impl Order {
    /// Checks that the order of a client is valid.
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

    /// Returns the root; `None` when the CID is not valid, which cannot happen in a checked order.
    pub(crate) fn root(&self) -> Option<Cid> {
        self.cid.parse().ok()
    }

    /// Returns whether `other` orders the same content to the same place.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let to = |order: &Self| order.destination.as_ref().map(|to| to.path.clone());
        let what = |order: &Self| (order.cid.clone(), order.payload.clone(), order.pin);
        what(self) == what(other) && to(self) == to(other)
    }

    /// Returns the limits of the fetch. The maximum size is the claimed size plus an allowance, or `most` bytes when no
    /// size is claimed. It is never above `most`, the capacity of the block store.
    pub(crate) fn limits(&self, most: u64) -> FetchLimits {
        let size = self.size.unwrap_or(most).min(most);
        let max_bytes = size.saturating_add(size / 100).saturating_add(OVERHEAD).min(most);
        let max_blocks = usize::try_from(max_bytes / SMALLEST_CHUNK).unwrap_or(usize::MAX).saturating_add(16);
        FetchLimits { max_bytes, max_blocks, stall_timeout: STALL, priority: self.priority }
    }
}
