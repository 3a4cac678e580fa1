//! Extracts the links of a block.
use bytes::Bytes;
use http_server::Refusal;
use ipfs::{Cid, dag};

use crate::content_error::ContentError;
use crate::request::Codec;

/// Returns the CIDs to which a block links. Refuses DAG-JSON and DAG-CBOR, whose links are not parsed.
pub(super) fn links(cid: &Cid, block: &Bytes) -> Result<Vec<Cid>, ContentError> {
    match Codec::of(cid.codec()) {
        Some(codec) if codec.has_links() => {
            let message = format!(
                "links in {} are not followed; dag-scope=block returns the block",
                codec.media_type()
            );
            Err(Refusal::not_implemented(message).into())
        }
        Some(_) => Ok(Vec::new()),
        None => Ok(dag::links(cid, block)?.into_iter().map(|link| link.cid).collect()),
    }
}
