//! Provides the blocks of one answer, from the node's store or from peers.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use ipfs::Cid;
use ipfs::node::{BlockError, Meeting, Node, Provider};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use crate::content_error::ContentError;

/// Maximum number of blocks after the next one that are requested from peers ahead of time.
pub(crate) const AHEAD: usize = 16;

/// A function that returns the known holders of the content below a root, with their addresses.
pub type Holders = Arc<dyn Fn(Cid) -> BoxFuture<'static, Vec<Provider>> + Send + Sync>;

/// The node, and the settings for fetching blocks that it does not have.
pub(crate) struct Source {
    pub(crate) node: Node,
    /// Timeout for one block.
    pub(crate) limit: Duration,
    pub(crate) holders: Holders,
}

/// The source of the blocks below one root.
struct Below {
    source: Source,
    root: Cid,
    /// Keeps the node connected to the holders and neighbours. Created when the first block is missing.
    meeting: OnceCell<Meeting>,
}

impl Below {
    async fn get(&self, cid: Cid) -> Result<Bytes, BlockError> {
        let Source { node, limit, holders } = &self.source;
        if let Some(block) = node.stored_block(cid).await? {
            return Ok(block);
        }
        self.meeting.get_or_init(async || node.meet(holders(self.root).await)).await;
        node.block(cid, *limit).await
    }
}

/// Reads the blocks of one answer, and requests later ones ahead of time.
pub(crate) struct Blocks {
    below: Arc<Below>,
    only_cached: bool,
    /// The blocks of the last call of [`Blocks::expect`]. They are not requested a second time.
    asked: Vec<Cid>,
    /// Running requests for later blocks. A block that arrives goes into the store.
    ahead: JoinSet<()>,
}

impl Blocks {
    /// Creates a reader of the blocks below a root. With `only_cached`, it returns only blocks that are stored here.
    pub(crate) fn new(source: Source, root: Cid, only_cached: bool) -> Self {
        Self::below(Arc::new(Below { source, root, meeting: OnceCell::new() }), only_cached)
    }

    fn below(below: Arc<Below>, only_cached: bool) -> Self {
        Self { below, only_cached, asked: Vec::new(), ahead: JoinSet::new() }
    }

    /// Creates a second reader of the same blocks.
    pub(crate) fn again(&self) -> Self {
        Self::below(self.below.clone(), self.only_cached)
    }

    /// Returns whether only blocks that are stored here are returned.
    pub(crate) fn is_only_cached(&self) -> bool {
        self.only_cached
    }

    /// Returns whether a block is stored here.
    pub(crate) fn has(&self, cid: &Cid) -> bool {
        self.below.source.node.store().contains(cid)
    }

    /// Returns a block, verified against its hash.
    pub(crate) async fn get(&self, cid: Cid) -> Result<Bytes, ContentError> {
        if self.only_cached {
            let stored = self.below.source.node.stored_block(cid).await?;
            return stored.ok_or(ContentError::NotCached(cid));
        }
        Ok(self.below.get(cid).await?)
    }

    /// Requests blocks from peers that will be needed soon and are not stored here.
    pub(crate) fn expect(&mut self, cids: Vec<Cid>) {
        while self.ahead.try_join_next().is_some() {}
        if self.only_cached {
            return;
        }
        for cid in &cids {
            if self.asked.contains(cid) || self.ahead.len() >= AHEAD || self.has(cid) {
                continue;
            }
            let (below, cid) = (self.below.clone(), *cid);
            self.ahead.spawn(async move {
                // An error is ignored here: the reader requests the block again and reports the error then.
                let _ = below.get(cid).await;
            });
        }
        self.asked = cids;
    }
}
