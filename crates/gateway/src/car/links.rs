//! The links of a block of any codec.
use bytes::Bytes;
use http_server::Refusal;
use ipfs::{Cid, dag};

use crate::content_error::ContentError;
use crate::request::Codec;

/// Returns the CIDs that a block links.
pub(super) fn links(cid: &Cid, block: &Bytes) -> Result<Vec<Cid>, ContentError> {
    match Codec::of(cid.codec()) {
        Some(codec) if codec.has_links() => {
            let message =
                format!("links in {} are not followed here; dag-scope=block gives it", codec.media_type());
            Err(Refusal::not_implemented(message).into())
        }
        Some(_) => Ok(Vec::new()),
        None => Ok(dag::links(cid, block)?.into_iter().map(|link| link.cid).collect()),
    }
}
