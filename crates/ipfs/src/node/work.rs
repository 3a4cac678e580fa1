//! Slow work of the exchange: sending, reading and storing.
use std::sync::Arc;
use std::time::Duration;

use bitswap::message::Block;
use bytes::Bytes;
use cid::Cid;
use libp2p::{PeerId, Stream};
use tokio::sync::Semaphore;

use super::serving::Serving;
use super::streams::SendError;
use super::worker::blocking;
use crate::store::{Store, StoreError};

/// Maximum number of threads that use the disk at the same time.
const DISK_WORKERS: usize = 4;
/// Pause before the next message to a peer whose stream broke.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// The result of a piece of work.
pub(super) enum Done {
    Sent { peer: PeerId, sending: u64, result: Result<Stream, SendError> },
    Loaded { peer: PeerId, visit: u64, blocks: Vec<Block>, missing: Vec<Cid> },
    Stored { cid: Cid, block: (Bytes, PeerId), result: Result<(), StoreError> },
}

/// The store, with a limit of [`DISK_WORKERS`] on parallel calls.
#[derive(Clone)]
pub(super) struct Disk {
    store: Store,
    places: Arc<Semaphore>,
}

impl Disk {
    pub(super) fn new(store: Store) -> Self {
        Self { store, places: Arc::new(Semaphore::new(DISK_WORKERS)) }
    }

    /// Reads blocks for a peer that may get these.
    pub(super) async fn load(self, (peer, visit): (PeerId, u64), cids: Vec<Cid>, serving: Serving) -> Done {
        let Self { store, places } = self;
        let _permit = places.acquire().await;
        let all = cids.clone();
        let read = tokio::task::spawn_blocking(move || read_blocks(&store, cids, serving)).await;
        let (blocks, missing) = read.unwrap_or((Vec::new(), all));
        Done::Loaded { peer, visit, blocks, missing }
    }

    /// Stores a block that a peer sent.
    pub(super) async fn store(self, cid: Cid, block: (Bytes, PeerId)) -> Done {
        let (Self { store, places }, copy) = (self, block.0.clone());
        let _permit = places.acquire().await;
        let result = blocking(move || store.put(&cid, &copy)).await;
        Done::Stored { cid, block, result }
    }
}

/// Waits until a message is sent. If the stream broke, waits for [`RETRY_DELAY`] in addition.
pub(super) async fn send(
    peer: PeerId,
    sending: u64,
    sent: impl Future<Output = Result<Stream, SendError>>,
) -> Done {
    let result = sent.await;
    if matches!(result, Err(SendError::Broken)) {
        tokio::time::sleep(RETRY_DELAY).await;
    }
    Done::Sent { peer, sending, result }
}

fn read_blocks(store: &Store, cids: Vec<Cid>, serving: Serving) -> (Vec<Block>, Vec<Cid>) {
    let (mut blocks, mut missing) = (Vec::new(), Vec::new());
    for cid in cids {
        // The block may have become private since the peer was told that it is here.
        if !serving.includes(store, &cid) {
            missing.push(cid);
            continue;
        }
        match store.get(&cid) {
            Ok(Some(data)) => blocks.push(Block { cid, data }),
            Ok(None) => missing.push(cid),
            Err(error) => {
                tracing::warn!(%cid, %error, "a block could not be read");
                missing.push(cid);
            }
        }
    }
    (blocks, missing)
}
