//! What a fetch is told, what it tells, and how it fails.
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

/// How many blocks one fetch wants at one time.
pub(super) const WINDOW: usize = 256;

/// Somebody who is said to have a DAG, and where it can be reached.
pub type Provider = (PeerId, Vec<Multiaddr>);

/// What one fetch may cost.
#[derive(Clone, Copy, Debug)]
pub struct FetchLimits {
    /// The most bytes of all its blocks together.
    pub max_bytes: u64,
    /// The most different blocks.
    pub max_blocks: usize,
    /// How long no block may arrive before it is given up.
    pub stall_timeout: Duration,
    /// What has a higher one is fetched first.
    pub priority: i32,
}

/// How far a fetch is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchProgress {
    /// Blocks that are here.
    pub blocks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Blocks known to belong to the DAG so far.
    pub known_blocks: usize,
    /// The content's size as the root claims it, once the root is here.
    pub claimed_bytes: Option<u64>,
    /// What keeps it from going on, if anything does.
    pub obstacle: Option<Obstacle>,
}

/// What was fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchSummary {
    /// The bytes of all different blocks.
    pub bytes: u64,
    /// How many there are.
    pub blocks: usize,
    /// Those of the blocks that came from peers now; the others were here before.
    pub fetched_blocks: usize,
}

/// A DAG that is wholly in the store, and protected until this is dropped: pin it before.
#[derive(Debug)]
pub struct Fetched {
    /// How much there is of it.
    pub summary: FetchSummary,
    /// Keeps its blocks from being thrown away.
    pub protection: Protection,
}

/// Why a DAG was not fetched. What came of it stays in the store until room is needed, and is found by the next try.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No block came for [`FetchLimits::stall_timeout`].
    #[error("no block came for {} s; {blocks} of at least {known_blocks} blocks are here", waited.as_secs())]
    Stalled {
        /// How long.
        waited: Duration,
        /// Blocks that are here.
        blocks: usize,
        /// Blocks known to belong to the DAG.
        known_blocks: usize,
    },
    /// More than [`FetchLimits::max_bytes`], or its root claims so.
    #[error("the content has more than {0} bytes")]
    TooLarge(u64),
    /// More than [`FetchLimits::max_blocks`].
    #[error("the content has more than {0} blocks")]
    TooManyBlocks(usize),
    /// Deeper than [`MAX_DEPTH`].
    #[error("the DAG is deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A block is not readable.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// Nobody can tell whether a block with this CID is the right one.
    #[error("the hash function {code:#x} of {0} is not known here", code = .0.hash().code())]
    UnknownHash(Cid),
    /// There was no room for [`FetchLimits::stall_timeout`].
    #[error(transparent)]
    NoRoom(Shortage),
    /// The store failed. Shared by all that wait for the same block.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// All fetches together want too many blocks at one time.
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
