//! One block: from the store, or else from whoever has it.
use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use cid::Cid;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use super::Node;
use super::fetch::{keep_connected, meet_neighbours};
use super::fetch_types::{FetchError, Provider};
use super::session::wait_for;
use super::worker::blocking;
use crate::store::StoreError;

/// Somebody waits for it right now.
const PRIORITY: i32 = 10;

/// Why there is no block.
#[derive(Debug, thiserror::Error)]
pub enum BlockError {
    /// Nobody sent it in time.
    #[error("the block {cid} did not come within {} s", limit.as_secs())]
    TimedOut {
        /// Which.
        cid: Cid,
        /// How long it was waited for.
        limit: Duration,
    },
    /// Nobody can tell whether a block with this CID is the right one.
    #[error("the hash function {code:#x} of {0} is not known here", code = .0.hash().code())]
    UnknownHash(Cid),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The block cannot be wanted, or the store has no room for it.
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
    /// A block that is here, checked against its hash; none when it is not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn stored_block(&self, cid: Cid) -> Result<Option<Bytes>, BlockError> {
        let store = self.store.clone();
        Ok(blocking(move || store.get(&cid)).await?)
    }

    /// A block, checked against its hash: the one that is here, or else the one that somebody connected sends within `limit`.
    /// Whom to be connected with is for [`Node::meet`]. Dropping the future ends the want.
    ///
    /// # Errors
    /// When it does not come in time, or the store fails.
    pub async fn block(&self, cid: Cid, limit: Duration) -> Result<Bytes, BlockError> {
        if let Some(block) = self.stored_block(cid).await? {
            return Ok(block);
        }
        let arriving = wait_for(self, cid, PRIORITY);
        let (block, _) =
            timeout(limit, arriving).await.map_err(|_| BlockError::TimedOut { cid, limit })??;
        Ok(block)
    }

    /// Dials the providers and the neighbours, and again whenever none of them is connected, until what is returned is
    /// dropped: for somebody who will ask for one block after the other.
    pub fn meet(&self, providers: Vec<Provider>) -> Meeting {
        let node = self.clone();
        Meeting(AbortOnDropHandle::new(tokio::spawn(async move {
            let (_unchanging, providers) = watch::channel(providers);
            tokio::select! {
                never = keep_connected(&node, providers) => match never {},
                never = meet_neighbours(&node) => match never {},
            }
        })))
    }
}

/// Lasts until it is dropped, see [`Node::meet`].
#[derive(Debug)]
pub struct Meeting(#[expect(dead_code, reason = "it ends when it is dropped")] AbortOnDropHandle<Infallible>);
