//! Gets one block: from the store, or else from any peer that has it.
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::Node;
use super::fetch::{keep_connected, meet_neighbours, patience};
use super::fetch_types::{FetchError, Provider};
use super::session::wait_for;
use super::worker::blocking;
use crate::store::StoreError;

/// Priority of a block that a caller is waiting for.
const PRIORITY: i32 = 10;

/// Error that occurs when a block is requested.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// No peer sent the block in time.
    #[error("the block {cid} did not come within {} s", limit.as_secs())]
    TimedOut {
        /// CID of the block.
        cid: Cid,
        /// Time limit that the caller set.
        limit: Duration,
    },
    /// The hash function of this CID is not supported, so the block cannot be verified.
    #[error("the hash function {code:#x} of {0} is not supported", code = .0.hash().code())]
    UnknownHash(Cid),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The block cannot be requested, or the store has no room for it.
    #[error(transparent)]
    Fetch(FetchError),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

impl From<FetchError> for BlockError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Stopped => Self::Stopped,
            FetchError::UnknownHash(cid) => Self::UnknownHash(cid),
            other => Self::Fetch(other),
        }
    }
}

impl Node {
    /// Returns a block from the store, checked against its hash, or `None` when it is not there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn stored_block(&self, cid: Cid) -> Result<Option<Bytes>, BlockError> {
        let store = self.store.clone();
        Ok(blocking(move || store.get(&cid)).await?)
    }

    /// Returns a block, checked against its hash: from the store, or else from a connected peer that sends it within
    /// `limit`. This function does not dial; use [`Node::meet`] to connect to peers. Dropping the future ends the
    /// request.
    ///
    /// # Errors
    /// When the block does not arrive in time, or the store fails.
    pub async fn block(&self, cid: Cid, limit: Duration) -> Result<Bytes, BlockError> {
        if let Some(block) = self.stored_block(cid).await? {
            return Ok(block);
        }
        let arriving = wait_for(self, cid, PRIORITY);
        let (block, _) =
            timeout(limit, arriving).await.map_err(|_| BlockError::TimedOut { cid, limit })??;
        Ok(block)
    }

    /// Dials the providers and the neighbours, and dials again those that are not connected, until the returned value
    /// is dropped. It serves a caller that will request many blocks one after the other.
    pub fn meet(&self, providers: Vec<Provider>) -> Meeting {
        let node = self.clone();
        Meeting(AbortOnDropHandle::new(tokio::spawn(async move {
            let patience = patience(&providers);
            let (_unchanging, providers) = watch::channel(providers);
            tokio::select! {
                never = keep_connected(&node, providers) => match never {},
                never = meet_neighbours(&node, patience) => match never {},
            }
        })))
    }
}

/// Keeps the connections of [`Node::meet`] open until it is dropped.
#[derive(Debug)]
pub struct Meeting(#[expect(dead_code, reason = "it ends when it is dropped")] AbortOnDropHandle<Infallible>);
