//! Answers with CARs of version 1: a header, then blocks with their CIDs (ipld.io/specs/transport/car/carv1).
mod frame;
mod links;
mod walk;

use std::hash::{Hash as _, Hasher as _};

use bytes::Bytes;
use http::{StatusCode, header};
use http_server::{BodySource as _, Response, body};
use ipfs::Cid;
use ipfs::dag::{self, DagError, Node};
use ipfs::unixfs::{Cursor, FileNode};
use siphasher::sip::SipHasher13;

use crate::content_error::ContentError;
use crate::disposition;
use crate::request::Scope;
use crate::resolved_request::{ResolvedRequest, tag};
use links::links;
use walk::{Below, Walk};

/// Answers with the blocks of the path, and the blocks of the content at its end that are in the scope.
pub(crate) async fn answer(
    asked: ResolvedRequest,
    scope: Scope,
    dups: bool,
) -> Result<Response, ContentError> {
    let tag = tag(&format!("{}.car.{:016x}", asked.resolved.cid, variant(&asked, scope, dups)));
    if let Some(unchanged) = asked.unchanged(&tag) {
        return unchanged;
    }
    let below = below(&asked.resolved.cid, &asked.resolved.block, scope)?;
    let dups_text = if dups { 'y' } else { 'n' };
    let media_type = format!("application/vnd.ipld.car; version=1; order=dfs; dups={dups_text}");
    let name = asked.request.query.filename.clone();
    let name = name.unwrap_or_else(|| format!("{}.car", asked.resolved.cid));
    let head = asked
        .head(StatusCode::OK, &tag)
        .header(header::CONTENT_TYPE, media_type)
        .header(header::ACCEPT_RANGES, "none")
        .header(header::CONTENT_DISPOSITION, disposition::header(true, Some(&name)));
    if asked.request.is_head {
        return Ok(head.body(body::whole(""))?);
    }
    let root = asked.request.target.cid;
    let mut walk = Walk::new(asked.blocks, root, asked.resolved.path(), below, dups);
    let first = walk.next_chunk().await?;
    Ok(head.body(body::chunks(first, walk))?)
}

/// Returns a number that differs for each selection of blocks, for the entity tag.
fn variant(asked: &ResolvedRequest, scope: Scope, dups: bool) -> u64 {
    let mut hasher = SipHasher13::new();
    format!("{} {scope:?} {dups}", asked.request.target).hash(&mut hasher);
    hasher.finish()
}

/// Returns the blocks that follow the block at the end of the path.
fn below(cid: &Cid, block: &Bytes, scope: Scope) -> Result<Below, ContentError> {
    match scope {
        Scope::Block => Ok(Below::nothing()),
        Scope::All => Below::all(links(cid, block)?),
        Scope::Entity(bytes) => match entity(cid, block)? {
            None => Ok(Below::nothing()),
            Some(root) => {
                let size = root.size;
                let range = bytes.map_or(0..size, |bytes| bytes.within(size));
                Ok(Below::File(Cursor::new(root, range).0))
            }
        },
    }
}

/// Returns the file with this root block. Returns `None` for other content, whose entity is this block alone.
fn entity(cid: &Cid, block: &Bytes) -> Result<Option<FileNode>, ContentError> {
    match dag::node(cid, block) {
        Ok(Node::File { .. }) => Ok(Some(FileNode::read(cid, block)?)),
        // The entity of a sharded directory has many blocks, and this gateway does not read them. A client would
        // take this one block for the whole entity.
        Err(error @ DagError::Unsupported(_, "sharded (HAMT) directory")) => Err(error.into()),
        Ok(Node::Directory { .. }) | Err(_) => Ok(None),
    }
}
