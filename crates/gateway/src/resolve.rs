//! From a path to the block at its end.
use bytes::Bytes;
use ipfs::Cid;
use ipfs::dag::{self, Node};

use crate::blocks::Blocks;
use crate::refusal::Refusal;
use crate::request::{Codec, Target};

/// The block at the end of a path.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    /// The blocks on the way to it, from the root on.
    pub(crate) way: Vec<Cid>,
    /// Its CID.
    pub(crate) cid: Cid,
    /// Its bytes.
    pub(crate) block: Bytes,
}

impl Resolved {
    /// What one name after the other leads to, for `X-Ipfs-Roots`.
    pub(crate) fn roots(&self) -> String {
        let all = self.way.iter().chain([&self.cid]);
        all.map(Cid::to_string).collect::<Vec<_>>().join(",")
    }
}

/// Goes down from the root by the names of the path.
pub(crate) async fn resolve(blocks: &Blocks, target: &Target) -> Result<Resolved, Refusal> {
    let (mut way, mut cid) = (Vec::new(), target.cid);
    let mut block = blocks.get(cid).await?;
    for name in &target.names {
        let next = entry(&cid, &block, name)?;
        way.push(std::mem::replace(&mut cid, next));
        block = blocks.get(cid).await?;
    }
    Ok(Resolved { way, cid, block })
}

/// The entry with this name in the directory that a block is.
fn entry(cid: &Cid, block: &Bytes, name: &str) -> Result<Cid, Refusal> {
    if cid.codec() != dag::RAW && cid.codec() != dag::DAG_PB {
        let what = Codec::of(cid.codec()).map_or("this codec", Codec::media_type);
        return Err(Refusal::not_implemented(format!("paths do not go on in {what} here")));
    }
    match dag::node(cid, block)? {
        Node::File { .. } => {
            Err(Refusal::not_found(format!("{cid} is a file, so there is no {name:?} in it")))
        }
        Node::Directory { links } => {
            let link = links.into_iter().find(|link| link.name == name);
            link.map(|link| link.cid)
                .ok_or_else(|| Refusal::not_found(format!("there is no {name:?} in the directory {cid}")))
        }
    }
}
