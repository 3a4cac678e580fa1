//! Where the blocks of one answer come from.
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use ipfs::Cid;
use ipfs::node::{BlockError, Meeting, Node, Provider};
use tokio::sync::OnceCell;
use tokio::task::JoinSet;

use crate::content_error::ContentError;

/// How many blocks beyond the next are asked of peers already.
pub(crate) const AHEAD: usize = 16;

/// Tells who is said to have what is below a root, and where they can be reached.
pub type Holders = Arc<dyn Fn(Cid) -> BoxFuture<'static, Vec<Provider>> + Send + Sync>;

/// Where blocks are and come from.
pub(crate) struct Source {
    pub(crate) node: Node,
    /// The most that is waited for one block.
    pub(crate) limit: Duration,
    pub(crate) holders: Holders,
}

/// The source of what is below one root.
struct Below {
    source: Source,
    root: Cid,
    /// With who has it, from the first time that something is not here.
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
    /// What was asked for last, so that nothing is asked for twice.
    asked: Vec<Cid>,
    /// Wants for blocks to come. What arrives is in the store then, not here.
    ahead: JoinSet<()>,
}

impl Blocks {
    /// Those below a root; with `only_cached` only those that are here.
    pub(crate) fn new(source: Source, root: Cid, only_cached: bool) -> Self {
        Self::below(Arc::new(Below { source, root, meeting: OnceCell::new() }), only_cached)
    }

    fn below(below: Arc<Below>, only_cached: bool) -> Self {
        Self { below, only_cached, asked: Vec::new(), ahead: JoinSet::new() }
    }

    /// The same once more, for something else to be read.
    pub(crate) fn again(&self) -> Self {
        Self::below(self.below.clone(), self.only_cached)
    }

    /// Whether only what is here already is given.
    pub(crate) fn is_only_cached(&self) -> bool {
        self.only_cached
    }

    /// Whether a block is here.
    pub(crate) fn has(&self, cid: &Cid) -> bool {
        self.below.source.node.store().contains(cid)
    }

    /// A block, checked against its hash.
    pub(crate) async fn get(&self, cid: Cid) -> Result<Bytes, ContentError> {
        if self.only_cached {
            let stored = self.below.source.node.stored_block(cid).await?;
            return stored.ok_or(ContentError::NotCached(cid));
        }
        Ok(self.below.get(cid).await?)
    }

    /// Asks peers for blocks that will be needed soon and are not here.
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
                // Whoever needs it asks again, and is told then what is wrong.
                let _ = below.get(cid).await;
            });
        }
        self.asked = cids;
    }
}
