//! Where the blocks of one answer come from.
use std::time::Duration;

use bytes::Bytes;
use ipfs::Cid;
use ipfs::node::Node;
use tokio::task::JoinSet;

use crate::refusal::Refusal;

/// How many blocks beyond the next are asked of peers already.
pub(crate) const AHEAD: usize = 16;

/// The blocks that one answer needs, one after the other.
pub(crate) struct Blocks {
    node: Node,
    limit: Duration,
    only_cached: bool,
    /// What was asked for last, so that nothing is asked for twice.
    asked: Vec<Cid>,
    /// Wants for blocks to come. What arrives is in the store then, not here.
    ahead: JoinSet<()>,
}

impl Blocks {
    /// From a node, waiting at most `limit` for each block, or with `only_cached` not at all.
    pub(crate) fn new(node: Node, limit: Duration, only_cached: bool) -> Self {
        Self { node, limit, only_cached, asked: Vec::new(), ahead: JoinSet::new() }
    }

    /// The same once more, for something else to be read.
    pub(crate) fn again(&self) -> Self {
        Self::new(self.node.clone(), self.limit, self.only_cached)
    }

    /// Whether only what is here already is given.
    pub(crate) fn is_only_cached(&self) -> bool {
        self.only_cached
    }

    /// Whether a block is here.
    pub(crate) fn has(&self, cid: &Cid) -> bool {
        self.node.store().contains(cid)
    }

    /// A block, checked against its hash.
    pub(crate) async fn get(&self, cid: Cid) -> Result<Bytes, Refusal> {
        if self.only_cached {
            return self.node.stored_block(cid).await?.ok_or_else(|| Refusal::not_cached(&cid));
        }
        Ok(self.node.block(cid, self.limit).await?)
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
            let (node, limit, cid) = (self.node.clone(), self.limit, *cid);
            self.ahead.spawn(async move {
                // Whoever needs it asks again, and is told then what is wrong.
                let _ = node.block(cid, limit).await;
            });
        }
        self.asked = cids;
    }
}
