//! The source of the blocks of one answer: the node's store, and peers.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use ipfs::Cid;
use ipfs::node::{BlockError, Meeting, Node, Provider};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use crate::content_error::ContentError;

/// Blocks beyond the next one that are requested from peers ahead of time.
pub(crate) const AHEAD: usize = 16;

/// Returns the peers that are said to have what is below a root, with their addresses.
pub type Holders = Arc<dyn Fn(Cid) -> BoxFuture<'static, Vec<Provider>> + Send + Sync>;

/// A node with what it needs to fetch blocks that it does not have.
pub(crate) struct Source {
    pub(crate) node: Node,
    /// Time to wait for one block.
    pub(crate) limit: Duration,
    pub(crate) holders: Holders,
}

/// The source of what is below one root.
struct Below {
    source: Source,
    root: Cid,
    /// The meeting with those who have it, from the first time that a block is not here.
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

/// The blocks that one answer needs, one after the other.
pub(crate) struct Blocks {
    below: Arc<Below>,
    only_cached: bool,
    /// The blocks that were requested last, so that none is requested twice.
    asked: Vec<Cid>,
    /// Running requests for blocks to come. A block that arrives goes into the store.
    ahead: JoinSet<()>,
}

impl Blocks {
    /// The blocks below a root; with `only_cached` only those that are here.
    pub(crate) fn new(source: Source, root: Cid, only_cached: bool) -> Self {
        Self::below(Arc::new(Below { source, root, meeting: OnceCell::new() }), only_cached)
    }

    fn below(below: Arc<Below>, only_cached: bool) -> Self {
        Self { below, only_cached, asked: Vec::new(), ahead: JoinSet::new() }
    }

    /// The same blocks, to be read from another position.
    pub(crate) fn again(&self) -> Self {
        Self::below(self.below.clone(), self.only_cached)
    }

    /// Returns whether only blocks that are here are given.
    pub(crate) fn is_only_cached(&self) -> bool {
        self.only_cached
    }

    /// Returns whether a block is here.
    pub(crate) fn has(&self, cid: &Cid) -> bool {
        self.below.source.node.store().contains(cid)
    }

    /// Returns a block, checked against its hash.
    pub(crate) async fn get(&self, cid: Cid) -> Result<Bytes, ContentError> {
        if self.only_cached {
            let stored = self.below.source.node.stored_block(cid).await?;
            return stored.ok_or(ContentError::NotCached(cid));
        }
        Ok(self.below.get(cid).await?)
    }

    /// Requests blocks from peers that will be needed soon and are not here.
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
                // The reader asks for it again and gets the error then.
                let _ = below.get(cid).await;
            });
        }
        self.asked = cids;
    }
}
