//! Answers a request according to the requested format and the kind of content.
use http_server::Response;
use ipfs::dag::{self, Node as DagNode};

use crate::blocks::{Blocks, Source};
use crate::content_error::ContentError;
use crate::file::File;
use crate::request::{Codec, Format, Request};
use crate::resolve::resolve;
use crate::resolved_request::ResolvedRequest;
use crate::{car, directory};

/// Answers one request.
pub(crate) async fn answer(request: Request, source: Source) -> Result<Response, ContentError> {
    let blocks = Blocks::new(source, request.target.cid, request.only_if_cached);
    let resolved = resolve(&blocks, &request.target).await?;
    by_format(ResolvedRequest { request, blocks, resolved }).await
}

async fn by_format(asked: ResolvedRequest) -> Result<Response, ContentError> {
    let (cid, block) = (asked.resolved.cid, asked.resolved.block.clone());
    let codec = Codec::of(cid.codec());
    match asked.request.format {
        Format::Raw => File::block(cid, block, "application/vnd.ipld.raw").answer(asked, ".raw").await,
        Format::Car { scope, dups } => car::answer(asked, scope, dups).await,
        Format::Codec(wanted) if codec != Some(wanted) => Err(ContentError::NoConversion),
        Format::Plain | Format::Codec(_) => match codec {
            Some(codec) => File::block(cid, block, codec.media_type()).answer(asked, "").await,
            None => unixfs(asked).await,
        },
    }
}

async fn unixfs(asked: ResolvedRequest) -> Result<Response, ContentError> {
    let (cid, name) = (asked.resolved.cid, asked.request.target.name().map(str::to_owned));
    match dag::node(&cid, &asked.resolved.block)? {
        DagNode::Directory { links } => directory::answer(asked, links).await,
        DagNode::File { .. } => File::read(cid, &asked.resolved.block, name)?.answer(asked, "").await,
    }
}
