//! The lookup of a path: from the root to the block at its end.
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
    /// The blocks above it, from the root on.
    pub(crate) ancestors: Vec<Cid>,
    /// Its CID.
    pub(crate) cid: Cid,
    /// Its bytes.
    pub(crate) block: Bytes,
}

impl Resolved {
    /// Returns the CIDs of all blocks of the path, from the root to the end.
    pub(crate) fn path(&self) -> Vec<Cid> {
        self.ancestors.iter().chain([&self.cid]).copied().collect()
    }

    /// Returns the path as the header `X-Ipfs-Roots` has it.
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

/// Returns the entry with this name in the directory of this block.
fn entry(cid: &Cid, block: &Bytes, name: &str) -> Result<Cid, ContentError> {
    if cid.codec() != dag::RAW && cid.codec() != dag::DAG_PB {
        let what = Codec::of(cid.codec()).map_or("this codec", Codec::media_type);
        return Err(Refusal::not_implemented(format!("paths do not go on in {what} here")).into());
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
