//! A request with its resolved path, and the headers that all answers share.
use http::response::Builder;
use http::{StatusCode, header};
use http_server::{Response, body};

use crate::blocks::Blocks;
use crate::content_error::ContentError;
use crate::request::{ByteRange, Format, Request};
use crate::resolve::Resolved;

/// Value of `Cache-Control` for content by CID, which never changes.
const FOREVER: &str = "public, max-age=29030400, immutable";

/// A request with the block at the end of its path, and the source of further blocks.
pub(crate) struct ResolvedRequest {
    pub(crate) request: Request,
    pub(crate) blocks: Blocks,
    pub(crate) resolved: Resolved,
}

impl ResolvedRequest {
    /// Returns the answer "not modified" if the client has the version with this tag already.
    pub(crate) fn unchanged(&self, tag: &str) -> Option<Result<Response, ContentError>> {
        let is_known = self.request.known.as_ref().is_some_and(|known| known.has(tag));
        is_known.then(|| Ok(self.head(StatusCode::NOT_MODIFIED, tag).body(body::whole(""))?))
    }

    /// Returns the requested range, unless `If-Range` names another version than this tag.
    pub(crate) fn range(&self, tag: &str) -> Option<ByteRange> {
        let is_of_this = self.request.if_range.as_deref().is_none_or(|wanted| wanted == tag);
        self.request.range.filter(|_| is_of_this)
    }

    /// Starts the head of an answer with content.
    pub(crate) fn head(&self, status: StatusCode, tag: &str) -> Builder {
        let mut head = Builder::new()
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

    /// Returns the file extension of a format that a browser saves and never shows.
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

/// Formats a strong entity tag of HTTP.
pub(crate) fn tag(text: &str) -> String {
    format!("\"{text}\"")
}
