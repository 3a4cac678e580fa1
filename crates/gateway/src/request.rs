//! Parses the head of a client's request. Pure: reads no clock, file or block.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod accept;
mod conditions;
mod query;
mod range;
mod target;

use http::Method;
use http::header::{self, HeaderMap};
use http_server::{Refusal, RequestHead, header_texts as texts};
use percent_encoding::{CONTROLS, utf8_percent_encode};

pub use accept::Codec;
use accept::Kind;
pub use conditions::Known;
pub use query::Query;
pub use range::{ByteRange, Edge, EntityBytes};
pub use target::Target;
pub(crate) use target::{USAGE, encode};

/// The depth, below the end of the path, of the blocks of a CAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Only the block at the end of the path.
    Block,
    /// The blocks of the file, or of the directory without its entries. With a range, only the file's blocks in the
    /// range.
    Entity(Option<EntityBytes>),
    /// The block at the end of the path, and all blocks below it.
    All,
}

/// The form of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The file, or a page that lists the directory.
    Plain,
    /// Content of this codec, without conversion.
    Codec(Codec),
    /// A single raw block.
    Raw,
    /// A CAR: blocks with their CIDs.
    Car {
        /// The blocks to include.
        scope: Scope,
        /// Whether a block is sent once for each link to it.
        dups: bool,
    },
}

/// A parsed request of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The path of the content.
    pub target: Target,
    /// The requested format.
    pub format: Format,
    /// The value of `Content-Location`: an address with this format only. Set if a header chose the format.
    pub location: Option<String>,
    /// The query parameters, parsed.
    pub query: Query,
    /// The query parameters as text, with their question mark; empty if there are none.
    pub query_text: String,
    /// The requested byte range, or `None` for all bytes.
    pub range: Option<ByteRange>,
    /// The entity tag of `If-Range`: the range is valid only for this version.
    pub if_range: Option<String>,
    /// The versions that the client has already.
    pub known: Option<Known>,
    /// Whether the client accepts only content that is stored on this node.
    pub only_if_cached: bool,
    /// Whether only the head of the answer is requested.
    pub is_head: bool,
}

impl Request {
    /// Parses the head of a request that has passed [`http_server::check_head`].
    ///
    /// # Errors
    /// Returns the refusal to answer with if the request is malformed or not supported.
    pub fn read(head: &RequestHead) -> Result<Self, Refusal> {
        let target = Target::read(head.uri.path())?;
        check_service_worker(&head.headers, &target)?;
        let query_text = head.uri.query().unwrap_or_default();
        let query = Query::read(query_text)?;
        // The text becomes part of response headers, so control characters are encoded.
        let query_text = &utf8_percent_encode(query_text, CONTROLS).to_string();
        let format = format(&query, &head.headers)?;
        Ok(Self {
            location: location(&target, &query, query_text, format),
            target,
            format,
            query,
            query_text: if query_text.is_empty() { String::new() } else { format!("?{query_text}") },
            range: texts(&head.headers, header::RANGE).next().and_then(ByteRange::read),
            if_range: texts(&head.headers, header::IF_RANGE).next().map(str::to_owned),
            known: Known::read(texts(&head.headers, header::IF_NONE_MATCH)),
            only_if_cached: conditions::is_only_if_cached(texts(&head.headers, header::CACHE_CONTROL)),
            is_head: head.method == Method::HEAD,
        })
    }
}

/// Refuses a service worker for `/ipfs/CID`, which would control the pages of all CIDs. A worker below `/ipfs/CID/`
/// controls only the pages of its own CID.
fn check_service_worker(headers: &HeaderMap, target: &Target) -> Result<(), Refusal> {
    let is_worker = texts(headers, "service-worker").any(|value| value == "script");
    match is_worker && target.names.is_empty() && !target.is_directory {
        true => Err(Refusal::bad_request("a service worker cannot be registered for a whole gateway")),
        false => Ok(()),
    }
}

fn format(query: &Query, headers: &HeaderMap) -> Result<Format, Refusal> {
    let accepts = || accept::by_headers(texts(headers, header::ACCEPT));
    let kind = match &query.format {
        Some(name) => accept::by_name(name)?,
        None => accepts()?,
    };
    match kind {
        Kind::Raw => Ok(Format::Raw),
        Kind::Codec(codec) => Ok(Format::Codec(codec)),
        Kind::Plain | Kind::Unsupported => Ok(Format::Plain),
        Kind::Car { dups } => {
            // If the parameter chose the CAR, the header may still say whether duplicates are wanted.
            let of_header =
                accepts().ok().and_then(|kind| if let Kind::Car { dups } = kind { dups } else { None });
            car(query, dups.or(of_header))
        }
    }
}

fn car(query: &Query, dups: Option<bool>) -> Result<Format, Refusal> {
    let is = |value: &Option<String>, fits: fn(&str) -> bool| value.as_deref().is_none_or(fits);
    if !is(&query.car_version, accept::is_version) {
        return Err(Refusal::bad_request("only version 1 of CARs is supported"));
    }
    if !is(&query.car_order, accept::is_order) {
        return Err(Refusal::bad_request("only the order dfs of the blocks of CARs is supported"));
    }
    let asked = query.car_dups.as_deref().map(accept::duplicates);
    let dups = match asked {
        Some(None) => return Err(Refusal::bad_request("car-dups has to be y or n")),
        Some(asked) => asked,
        None => dups,
    };
    Ok(Format::Car { scope: scope(query)?, dups: dups.unwrap_or(false) })
}

fn scope(query: &Query) -> Result<Scope, Refusal> {
    let wrong_bytes =
        || Refusal::bad_request("entity-bytes has to be FROM:TO, for example 0:1023, 1024:* or -1024:*");
    let bytes = query.entity_bytes.as_deref().map(EntityBytes::read);
    let bytes = bytes.map(|bytes| bytes.ok_or_else(wrong_bytes)).transpose()?;
    match (query.dag_scope.as_deref(), bytes) {
        (None, None) | (Some("all"), None) => Ok(Scope::All),
        // A range selects the entity, except with the scope `block`, where it is ignored.
        (None | Some("all" | "entity"), bytes) => Ok(Scope::Entity(bytes)),
        (Some("block"), _) => Ok(Scope::Block),
        (Some(_), _) => Err(Refusal::bad_request("dag-scope has to be block, entity or all")),
    }
}

/// Returns the value of `Content-Location`, if the header `Accept` chose the format: the requested address, with the
/// format as a parameter.
fn location(target: &Target, query: &Query, query_text: &str, format: Format) -> Option<String> {
    let name = match format {
        _ if query.format.is_some() => return None,
        Format::Plain | Format::Codec(_) => return None,
        Format::Raw => "raw",
        Format::Car { .. } => "car",
    };
    let others = if query_text.is_empty() { String::new() } else { format!("&{query_text}") };
    let slash = if target.is_directory { "/" } else { "" };
    Some(format!("{target}{slash}?format={name}{others}"))
}

#[cfg(test)]
mod tests;
