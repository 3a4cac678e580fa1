//! Inputs, results and errors of a fetch.
use std::sync::Arc;
use std::time::Duration;

use bitswap::engine::TooManyWants;
use cid::Cid;
use libp2p::{Multiaddr, PeerId};

use super::exchange::WantError;
use super::obstacle::{Obstacle, Shortage};
use super::worker::WorkerDied;
use crate::dag::DagError;
use crate::store::{Protection, StoreError};
use crate::unixfs::MAX_DEPTH;

/// Maximum number of blocks that one fetch requests at the same time.
pub(super) const WINDOW: usize = 256;

/// A peer that is said to have a DAG, with its addresses.
pub type Provider = (PeerId, Vec<Multiaddr>);

/// Limits of one fetch.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// Maximum number of bytes of all its blocks together.
    pub max_bytes: u64,
    /// Maximum number of different blocks.
    pub max_blocks: usize,
    /// Time without a new block after which the fetch is given up.
    pub stall_timeout: Duration,
    /// Priority; a fetch with a higher priority is served first.
    pub priority: i32,
}

/// Progress of a fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchProgress {
    /// Number of blocks in the store.
    pub blocks: usize,
    /// Size of these blocks in bytes.
    pub bytes: u64,
    /// Number of blocks that are known so far to belong to the DAG.
    pub known_blocks: usize,
    /// Size of the content in bytes as claimed by the root, once the root is in the store.
    pub claimed_bytes: Option<u64>,
    /// Reason why the fetch makes no progress, if there is one.
    pub obstacle: Option<Obstacle>,
}

/// Summary of a finished fetch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchSummary {
    /// Size of all different blocks in bytes.
    pub bytes: u64,
    /// Number of different blocks.
    pub blocks: usize,
    /// Number of blocks that were received from peers; the others were in the store before.
    pub fetched_blocks: usize,
}

/// A DAG that is completely in the store. It is protected from garbage collection until this value is dropped, so pin
/// it before you drop this value.
#[derive(Debug)]
pub struct Fetched {
    /// Number and size of its blocks.
    pub summary: FetchSummary,
    /// Guard that protects its blocks from garbage collection.
    pub protection: Protection,
}

/// Error that ends a fetch. Blocks that were received stay in the store until room is needed, so the next fetch finds
/// them.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No block arrived for [`FetchLimits::stall_timeout`].
    #[error("no block arrived for {} s; {blocks} of at least {known_blocks} blocks are in the store", waited.as_secs())]
    Stalled {
        /// Time that was waited for a block.
        waited: Duration,
        /// Number of blocks in the store.
        blocks: usize,
        /// Number of blocks known to belong to the DAG.
        known_blocks: usize,
    },
    /// The content has more bytes than [`FetchLimits::max_bytes`], or its root claims this.
    #[error("the content has more than {0} bytes")]
    TooLarge(u64),
    /// The content has more blocks than [`FetchLimits::max_blocks`].
    #[error("the content has more than {0} blocks")]
    TooManyBlocks(usize),
    /// The DAG is deeper than [`MAX_DEPTH`].
    #[error("the DAG is deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A block cannot be read as a node.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// The hash function of this CID is not supported, so the block cannot be verified.
    #[error("the hash function {code:#x} of {0} is not supported", code = .0.hash().code())]
    UnknownHash(Cid),
    /// The store had no room during the whole of [`FetchLimits::stall_timeout`].
    #[error(transparent)]
    NoRoom(Shortage),
    /// The store failed. The error is shared by all callers that wait for the same block.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// All fetches together request too many blocks at the same time.
    #[error(transparent)]
    TooManyWants(#[from] TooManyWants),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        Arc::new(error).into()
    }
}

impl From<Arc<StoreError>> for FetchError {
    fn from(error: Arc<StoreError>) -> Self {
        Shortage::of(&error).map_or(Self::Store(error), Self::NoRoom)
    }
}

impl From<WantError> for FetchError {
    fn from(error: WantError) -> Self {
        match error {
            WantError::Store(error) => error.into(),
            WantError::TooMany(error) => error.into(),
        }
    }
}

impl WorkerDied for FetchError {
    fn worker_died() -> Self {
        StoreError::worker_died().into()
    }
}
