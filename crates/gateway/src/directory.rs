//! Answers with a directory's `index.html`, or with a page that lists the directory.
use http::response::Builder;
use http::{StatusCode, header};
use http_server::{Response, body};
use ipfs::dag::{self, Link, Node};

use crate::blocks::Blocks;
use crate::content_error::ContentError;
use crate::file::File;
use crate::listing;
use crate::resolved_request::{ResolvedRequest, tag};

/// Name of the file that is served instead of a list.
const INDEX: &str = "index.html";
/// Value of `Cache-Control` for a list. The entries never change, but the layout of the page may.
const LIST_CACHING: &str = "public, max-age=604800, stale-while-revalidate=2678400";

/// Value of `Content-Security-Policy` for a list. The page may only use its own style and download linked files.
const LIST_POLICY: &str = "sandbox allow-downloads; default-src 'none'; style-src 'unsafe-inline'";

/// Answers for a directory with these entries.
pub(crate) async fn answer(asked: ResolvedRequest, links: Vec<Link>) -> Result<Response, ContentError> {
    if !asked.request.target.is_directory {
        // Without the slash, relative links of the page would be resolved against the parent directory.
        let place = asked.request.target.with_slash() + &asked.request.query_text;
        let head = Builder::new().status(StatusCode::MOVED_PERMANENTLY);
        return Ok(head.header(header::LOCATION, place).body(body::whole(""))?);
    }
    if let Some(index) = index(&asked.blocks, &links).await? {
        return index.answer(asked, "").await;
    }
    let tag = tag(&format!("DirIndex-{}_CID-{}", listing::VERSION, asked.resolved.cid));
    if let Some(unchanged) = asked.unchanged(&tag) {
        return unchanged;
    }
    let head = asked.head(StatusCode::OK, &tag).header(header::CONTENT_TYPE, "text/html; charset=utf-8");
    let mut answer = head.body(body::whole(""))?;
    answer.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static(LIST_CACHING));
    answer
        .headers_mut()
        .insert(header::CONTENT_SECURITY_POLICY, header::HeaderValue::from_static(LIST_POLICY));
    if !asked.request.is_head {
        *answer.body_mut() = body::stream(listing::page(&asked.request.target, asked.resolved.cid, links));
    }
    Ok(answer)
}

async fn index(blocks: &Blocks, links: &[Link]) -> Result<Option<File>, ContentError> {
    let Some(link) = links.iter().find(|link| link.name == INDEX) else {
        return Ok(None);
    };
    let block = blocks.get(link.cid).await?;
    match dag::node(&link.cid, &block)? {
        Node::Directory { .. } => Ok(None),
        Node::File { .. } => File::read(link.cid, &block, Some(INDEX.to_owned())).map(Some),
    }
}
