//! Answers with files and ranges of files.
use std::ops::Range;

use bytes::Bytes;
use http::response::Builder;
use http::{StatusCode, header};
use http_server::{BodySource, Refusal, Response, body};
use ipfs::Cid;
use ipfs::unixfs::{Cursor, FileNode};

use crate::blocks::{AHEAD, Blocks};
use crate::content_error::ContentError;
use crate::resolved_request::{ResolvedRequest, tag};
use crate::{disposition, media};

/// Maximum size of a leaf, in bytes. It is the maximum size of a block, so a larger part of a file consists of several
/// blocks.
const MAX_LEAF: u64 = 2 * 1024 * 1024;

/// A file to answer with.
pub(crate) struct File {
    /// CID of the root block. It identifies this version of the file.
    pub(crate) cid: Cid,
    /// The decoded root block.
    pub(crate) root: FileNode,
    /// The file's name in its directory, if there is one.
    pub(crate) name: Option<String>,
    /// The media type, or `None` to derive it from the name or the content.
    pub(crate) media_type: Option<&'static str>,
}

impl File {
    /// Decodes the root block of a UnixFS file.
    pub(crate) fn read(cid: Cid, block: &Bytes, name: Option<String>) -> Result<Self, ContentError> {
        Ok(Self { cid, root: FileNode::read(&cid, block)?, name, media_type: None })
    }

    /// Makes a file whose content is one undecoded block.
    pub(crate) fn block(cid: Cid, block: Bytes, media_type: &'static str) -> Self {
        let root = FileNode { size: block.len() as u64, data: block, parts: Vec::new() };
        Self { cid, root, name: None, media_type: Some(media_type) }
    }

    /// Returns the answer. It has no body if only the head is requested.
    pub(crate) async fn answer(
        self,
        asked: ResolvedRequest,
        tag_suffix: &str,
    ) -> Result<Response, ContentError> {
        let tag = tag(&format!("{}{tag_suffix}", self.cid));
        if let Some(unchanged) = asked.unchanged(&tag) {
            return unchanged;
        }
        let size = self.root.size;
        let (status, range) = match asked.range(&tag).map(|range| range.within(size)) {
            None => (StatusCode::OK, 0..size),
            Some(Some(range)) => (StatusCode::PARTIAL_CONTENT, range),
            Some(None) => return unsatisfiable(size),
        };
        check_cached(&asked.blocks, &self.root, &range).await?;
        let head = asked.head(status, &tag).header(header::CONTENT_TYPE, self.media_type(&asked).await?);
        let head = describe(head, &asked, status, &range, size);
        if asked.request.is_head {
            return Ok(head.body(body::whole(""))?);
        }
        // The first chunk is read before the status is sent, so that a failure to read it can change the status.
        let mut reading = Reading::new(asked.blocks, self.root, range);
        let first = reading.next().await?;
        Ok(head.body(body::chunks(first, reading))?)
    }

    /// Returns the media type by the parameter `filename`, by the file's own name, or by its first bytes.
    async fn media_type(&self, asked: &ResolvedRequest) -> Result<&'static str, ContentError> {
        if let Some(media_type) = self.media_type {
            return Ok(media_type);
        }
        let names = [asked.request.query.filename.as_deref(), self.name.as_deref()];
        if let Some(media_type) = names.into_iter().flatten().find_map(media::by_name) {
            return Ok(media_type);
        }
        let blocks = asked.blocks.again();
        let first = Reading::new(blocks, self.root.clone(), 0..self.root.size.min(512)).next().await?;
        Ok(media::by_content(&first.unwrap_or_default()))
    }
}

/// Adds the headers that describe the range of bytes, and the name to save them under.
fn describe(
    head: Builder,
    asked: &ResolvedRequest,
    status: StatusCode,
    range: &Range<u64>,
    size: u64,
) -> Builder {
    let mut head =
        head.header(header::ACCEPT_RANGES, "bytes").header(header::CONTENT_LENGTH, range.end - range.start);
    if status == StatusCode::PARTIAL_CONTENT {
        let of = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        head = head.header(header::CONTENT_RANGE, of);
    }
    match disposition(asked) {
        Some(disposition) => head.header(header::CONTENT_DISPOSITION, disposition),
        None => head,
    }
}

fn unsatisfiable(size: u64) -> Result<Response, ContentError> {
    let head = Builder::new().status(StatusCode::RANGE_NOT_SATISFIABLE);
    let head = head.header(header::CONTENT_RANGE, format!("bytes */{size}"));
    let head = head.header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
    Ok(head.body(body::whole("the file has no bytes in this range\n"))?)
}

/// Returns the value of the header `Content-Disposition`. A raw block is always an attachment, never shown by a
/// browser.
fn disposition(asked: &ResolvedRequest) -> Option<String> {
    let query = &asked.request.query;
    let (filename, extension) = (query.filename.as_deref(), asked.attachment());
    match (filename, extension) {
        (None, None) if !query.download => None,
        (None, Some(extension)) => {
            Some(disposition::header(true, Some(&format!("{}.{extension}", asked.resolved.cid))))
        }
        (name, extension) => Some(disposition::header(query.download || extension.is_some(), name)),
    }
}

/// Checks that all blocks of a range are stored here, if the client accepts only stored content.
///
/// Reads only inner blocks, that is, blocks for parts larger than [`MAX_LEAF`].
async fn check_cached(blocks: &Blocks, root: &FileNode, range: &Range<u64>) -> Result<(), ContentError> {
    if !blocks.is_only_cached() {
        return Ok(());
    }
    let (mut cursor, _) = Cursor::new(root.clone(), range.clone());
    while let Some(part) = cursor.next_part() {
        if !blocks.has(&part.cid) {
            return Err(ContentError::NotCached(part.cid));
        }
        if part.size > MAX_LEAF {
            cursor.feed(&blocks.get(part.cid).await?)?;
        } else {
            cursor.skip();
        }
    }
    Ok(())
}

/// Reads a range of a file, block by block.
pub(crate) struct Reading {
    blocks: Blocks,
    cursor: Cursor,
    /// The bytes of the range that are in the root block itself.
    first: Bytes,
}

impl Reading {
    pub(crate) fn new(blocks: Blocks, root: FileNode, range: Range<u64>) -> Self {
        let (cursor, first) = Cursor::new(root, range);
        Self { blocks, cursor, first }
    }

    async fn next(&mut self) -> Result<Option<Bytes>, ContentError> {
        let mut piece = std::mem::take(&mut self.first);
        while piece.is_empty() {
            let Some(part) = self.cursor.next_part() else {
                return Ok(None);
            };
            self.blocks.expect(self.cursor.upcoming(AHEAD));
            let block = self.blocks.get(part.cid).await?;
            piece = self.cursor.feed(&block)?;
        }
        Ok(Some(piece))
    }
}

impl BodySource for Reading {
    async fn next_chunk(&mut self) -> Result<Option<Bytes>, Refusal> {
        Ok(self.next().await?)
    }
}
