//! From a request to its answer.
use http::request::Parts;
use http::response::Builder;
use http::{Response, StatusCode, header};
use ipfs::dag::{self, Node as DagNode};

use crate::blocks::{Blocks, Source};
use crate::body::{self, Body};
use crate::file::File;
use crate::refusal::{RETRY_AFTER_SECONDS, Refusal};
use crate::request::{ByteRange, Codec, Format, Request};
use crate::resolve::{Resolved, resolve};
use crate::{car, directory};

/// What a CID names never changes.
const FOREVER: &str = "public, max-age=29030400, immutable";

/// A request with the block at the end of its path, and where to get others.
pub(crate) struct Asked {
    pub(crate) request: Request,
    pub(crate) blocks: Blocks,
    pub(crate) resolved: Resolved,
}

impl Asked {
    /// The answer for who has this version already.
    pub(crate) fn unchanged(&self, tag: &str) -> Option<Result<Response<Body>, Refusal>> {
        let is_known = self.request.known.as_ref().is_some_and(|known| known.has(tag));
        is_known.then(|| finish(self.head(StatusCode::NOT_MODIFIED, tag), body::whole("")))
    }

    /// The range that is wanted of this version.
    pub(crate) fn range(&self, tag: &str) -> Option<ByteRange> {
        let is_of_this = self.request.if_range.as_deref().is_none_or(|wanted| wanted == tag);
        self.request.range.filter(|_| is_of_this)
    }

    /// The headers that every answer with content has.
    pub(crate) fn head(&self, status: StatusCode, tag: &str) -> Builder {
        let mut head = Response::builder()
            .status(status)
            .header(header::ETAG, tag)
            .header(header::CACHE_CONTROL, FOREVER)
            .header(header::VARY, "Accept")
            .header("X-Ipfs-Path", self.path())
            .header("X-Ipfs-Roots", self.resolved.roots());
        if let Some(location) = &self.request.location {
            head = head.header(header::CONTENT_LOCATION, location);
        }
        head
    }

    /// The extension of what is never shown by a browser.
    pub(crate) fn attachment(&self) -> Option<&'static str> {
        match self.request.format {
            Format::Raw => Some("bin"),
            Format::Car { .. } => Some("car"),
            Format::Plain | Format::Codec(_) => None,
        }
    }

    fn path(&self) -> String {
        let target = &self.request.target;
        if target.is_directory { target.with_slash() } else { target.to_string() }
    }
}

/// A strong tag of HTTP.
pub(crate) fn tag(text: &str) -> String {
    format!("\"{text}\"")
}

/// An answer from its head and its body.
pub(crate) fn finish(head: Builder, body: Body) -> Result<Response<Body>, Refusal> {
    // Every header is made of ASCII, so this is a fault of the gateway.
    let failed = |error: http::Error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    head.header(header::X_CONTENT_TYPE_OPTIONS, "nosniff").body(body).map_err(failed)
}

/// Answers one request.
pub(crate) async fn answer(head: &Parts, names: &[String], source: Option<Source>) -> Response<Body> {
    let answered = async {
        let request = Request::read(head, names)?;
        let source = source.ok_or_else(Refusal::no_node)?;
        let blocks = Blocks::new(source, request.target.cid, request.only_if_cached);
        let resolved = resolve(&blocks, &request.target).await?;
        by_format(Asked { request, blocks, resolved }).await
    };
    answered.await.unwrap_or_else(|refusal| refuse(&refusal))
}

async fn by_format(asked: Asked) -> Result<Response<Body>, Refusal> {
    let (cid, block) = (asked.resolved.cid, asked.resolved.block.clone());
    let codec = Codec::of(cid.codec());
    match asked.request.format {
        Format::Raw => File::block(cid, block, "application/vnd.ipld.raw").answer(asked, ".raw").await,
        Format::Car { scope, dups } => car::answer(asked, scope, dups).await,
        Format::Codec(wanted) if codec != Some(wanted) => {
            Err(Refusal::not_acceptable("content is not converted from one codec to another here"))
        }
        Format::Plain | Format::Codec(_) => match codec {
            Some(codec) => File::block(cid, block, codec.media_type()).answer(asked, "").await,
            None => unixfs(asked).await,
        },
    }
}

async fn unixfs(asked: Asked) -> Result<Response<Body>, Refusal> {
    let (cid, name) = (asked.resolved.cid, asked.request.target.name().map(str::to_owned));
    match dag::node(&cid, &asked.resolved.block)? {
        DagNode::Directory { links } => directory::answer(asked, links).await,
        DagNode::File { .. } => File::read(cid, &asked.resolved.block, name)?.answer(asked, "").await,
    }
}

/// The answer that says why there is no content.
fn refuse(refusal: &Refusal) -> Response<Body> {
    let mut head = Response::builder()
        .status(refusal.status)
        .header(header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(header::CACHE_CONTROL, "no-store");
    if refusal.may_pass() {
        head = head.header(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    if refusal.status == StatusCode::METHOD_NOT_ALLOWED {
        head = head.header(header::ALLOW, "GET, HEAD");
    }
    finish(head, body::whole(format!("{refusal}\n"))).unwrap_or_default()
}
