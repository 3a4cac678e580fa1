//! Visits every block of a DAG once.
use std::collections::BTreeSet;

use cid::Cid;

use crate::dag::{self, DagError};
use crate::store::{BlockKey, Protection, Store, StoreError, Whole};

/// Maximum depth of a DAG. A file of 2^64 bytes has nine levels; the others are for nested directories.
pub const MAX_DEPTH: usize = 64;

/// Error that ends the walk over a DAG.
#[derive(Debug, thiserror::Error)]
pub enum WalkError {
    /// A block is not in the store.
    #[error("the block {0} is missing")]
    Missing(Cid),
    /// A block cannot be read as a node.
    #[error(transparent)]
    Dag(#[from] DagError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The DAG is deeper than [`MAX_DEPTH`].
    #[error("the DAG is deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Visits every block of the DAG below `root` once and checks that it is in the store. Blocks with links are read and
/// checked; raw blocks are only looked up. With `protection`, each block is protected before it is looked up.
///
/// # Errors
/// When a block is missing or broken, or the DAG too deep.
pub fn walk_complete(store: &Store, root: &Cid, protection: Option<&Protection>) -> Result<Whole, WalkError> {
    let (mut seen, mut todo, mut bytes) = (BTreeSet::from([BlockKey::of(root)]), vec![(*root, 0)], 0u64);
    while let Some((cid, depth)) = todo.pop() {
        if depth > MAX_DEPTH {
            return Err(WalkError::TooDeep);
        }
        if let Some(protection) = protection {
            protection.add(&cid);
        }
        bytes += store.size_of(&cid).ok_or(WalkError::Missing(cid))? as u64;
        if cid.codec() == dag::RAW {
            continue;
        }
        let block = store.get(&cid)?.ok_or(WalkError::Missing(cid))?;
        for link in dag::links(&cid, &block)? {
            if seen.insert(BlockKey::of(&link.cid)) {
                todo.push((link.cid, depth + 1));
            }
        }
    }
    Ok(Whole { root: *root, bytes, keys: seen.into_iter().collect() })
}
