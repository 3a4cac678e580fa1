//! One download, as it stands on the disk.

use control::{Destination, MAX_PATH_BYTES, Order};
use ipfs::Cid;
use ipfs::node::FetchLimits;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Besides the file, a directory and an info file and links to many chunks take: a hundredth more, and this.
const OVERHEAD: u64 = 64 * 1024;
/// Honest files have chunks of this size at least, but for the last.
const SMALLEST_CHUNK: u64 = 16 * 1024;
/// After so long without a block another download gets its turn, if one waits.
const STALL: Duration = Duration::from_secs(30);

/// What is wanted, and how it ended if it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Download {
    /// What was ordered.
    pub(crate) order: Order,
    /// How it ended.
    #[serde(default)]
    pub(crate) end: Option<End>,
}

/// How a download ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum End {
    /// It is where it was to go; so many bytes.
    Done(u64),
    /// Why it cannot be had.
    Failed(String),
}

/// Why an order makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OrderError {
    #[error("{0:?} is no CID")]
    Cid(String),
    #[error("a name or a path has more than {MAX_PATH_BYTES} bytes")]
    Long,
}

impl Download {
    pub(crate) fn new(order: Order) -> Result<Self, OrderError> {
        order.cid.parse::<Cid>().map_err(|_| OrderError::Cid(order.cid.chars().take(100).collect()))?;
        let path = order.destination.as_ref().map_or(0, |to| to.path.as_os_str().len());
        let payload = order.payload.as_ref().map_or(0, String::len);
        if order.name.len().max(path).max(payload) > MAX_PATH_BYTES {
            return Err(OrderError::Long);
        }
        Ok(Self { order, end: None })
    }

    /// What is fetched; none when the disk holds nonsense.
    pub(crate) fn root(&self) -> Option<Cid> {
        self.order.cid.parse().ok()
    }

    pub(crate) fn destination(&self) -> Option<&Destination> {
        self.order.destination.as_ref()
    }

    /// Whether it asks for the same, to the same place.
    pub(crate) fn is_same(&self, other: &Order) -> bool {
        let to = |order: &Order| order.destination.as_ref().map(|to| to.path.clone());
        let what = |order: &Order| (order.cid.clone(), order.payload.clone(), order.pin);
        what(&self.order) == what(other) && to(&self.order) == to(other)
    }

    /// What it may cost: what it is said to have and a little more, or what the store may have at all.
    pub(crate) fn limits(&self, most: u64) -> FetchLimits {
        let size = self.order.size.unwrap_or(most).min(most);
        let max_bytes = size.saturating_add(size / 100).saturating_add(OVERHEAD);
        let max_blocks = usize::try_from(max_bytes / SMALLEST_CHUNK).unwrap_or(usize::MAX).saturating_add(16);
        FetchLimits { max_bytes, max_blocks, stall_timeout: STALL, priority: self.order.priority }
    }
}
