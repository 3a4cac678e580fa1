//! Resolves a path: follows its names from the root to the block at its end.
use bytes::Bytes;
use http_server::Refusal;
use ipfs::Cid;
use ipfs::dag::{self, Node};

use crate::blocks::Blocks;
use crate::content_error::ContentError;
use crate::request::{Codec, Target};

/// The block at the end of a path.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// CIDs of the blocks above it, beginning with the root.
    pub(crate) ancestors: Vec<Cid>,
    /// CID of the block.
    pub(crate) cid: Cid,
    /// Content of the block.
    pub(crate) block: Bytes,
}

impl Resolved {
    /// Returns the CIDs of all blocks of the path, from the root to the end.
    pub(crate) fn path(&self) -> Vec<Cid> {
        self.ancestors.iter().chain([&self.cid]).copied().collect()
    }

    /// Returns the value of the header `X-Ipfs-Roots`: the CIDs of the path, separated by commas.
    pub(crate) fn roots(&self) -> String {
        self.path().iter().map(Cid::to_string).collect::<Vec<_>>().join(",")
    }
}

/// Follows the names of the path from the root down.
pub(crate) async fn resolve(blocks: &Blocks, target: &Target) -> Result<Resolved, ContentError> {
    let (mut ancestors, mut cid) = (Vec::new(), target.cid);
    let mut block = blocks.get(cid).await?;
    for name in &target.names {
        let next = entry(&cid, &block, name)?;
        ancestors.push(std::mem::replace(&mut cid, next));
        block = blocks.get(cid).await?;
    }
    Ok(Resolved { ancestors, cid, block })
}

/// Returns the CID of the entry with this name in the directory that `block` encodes.
fn entry(cid: &Cid, block: &Bytes, name: &str) -> Result<Cid, ContentError> {
    if cid.codec() != dag::RAW && cid.codec() != dag::DAG_PB {
        let what = Codec::of(cid.codec()).map_or("this codec", Codec::media_type);
        return Err(
            Refusal::not_implemented(format!("this gateway does not follow paths into {what}")).into()
        );
    }
    match dag::node(cid, block)? {
        Node::File { .. } => {
            Err(Refusal::not_found(format!("{cid} is a file, so there is no {name:?} in it")).into())
        }
        Node::Directory { links } => {
            let link = links.into_iter().find(|link| link.name == name);
            let missing = || Refusal::not_found(format!("there is no {name:?} in the directory {cid}"));
            Ok(link.ok_or_else(missing)?.cid)
        }
    }
}
