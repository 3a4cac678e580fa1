//! One block: from the store, or else from whoever has it.
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use tokio::time::timeout;

use super::fetch::FetchError;
use super::session::wait_for;
use super::{Node, blocking};
use crate::store::StoreError;

/// Somebody waits for it right now.
const PRIORITY: i32 = 10;

/// Why there is no block.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// None of the connected peers sent it in time.
    #[error("the block {cid} did not come within {} s", limit.as_secs())]
    TimedOut {
        /// Which.
        cid: Cid,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The store cannot be read, or has no room for what came.
    #[error("{0}")]
    Store(String),
    /// The node has stopped.
    #[error("the node has stopped")]
    Stopped,
}

impl From<StoreError> for BlockError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<FetchError> for BlockError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Stopped => Self::Stopped,
            other => Self::Store(other.to_string()),
        }
    }
}

impl Node {
    /// A block that is here, checked against its hash; none when it is not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn stored_block(&self, cid: Cid) -> Result<Option<Bytes>, BlockError> {
        let store = self.store.clone();
        Ok(blocking(move || store.get(&cid)).await?)
    }

    /// A block, checked against its hash: the one that is here, or else the one that a connected peer sends within
    /// `limit`. Dropping the future ends the want.
    ///
    /// # Errors
    /// When it does not come in time, or the store fails.
    pub async fn block(&self, cid: Cid, limit: Duration) -> Result<Bytes, BlockError> {
        if let Some(block) = self.stored_block(cid).await? {
            return Ok(block);
        }
        let waited = timeout(limit, wait_for(self, cid, PRIORITY)).await;
        let (block, _) = waited.map_err(|_| BlockError::TimedOut { cid, limit })??;
        Ok(block)
    }
}
