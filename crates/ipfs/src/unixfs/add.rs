//! Adds files and directories to the store as blocks.
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use cid::{Cid, Version};
use multihash_codetable::{Code, MultihashDigest as _};
use rust_unixfs::dir::builder::{
    BufferingTreeBuilder, TreeBuildingFailed, TreeConstructionFailed, TreeOptions,
};
use rust_unixfs::file::adder::FileAdder;

use super::is_safe_name;
use crate::dag::{self, FilePart};
use crate::store::{InPlace, Protection, Store, StoreError};

/// Length of a chunk of a file in bytes: the default of Kubo, which the adder takes without copying. A file that is
/// served in place has pieces of this length.
const CHUNK_BYTES: usize = 256 * 1024;
/// Maximum size of a directory block in bytes. Kubo splits larger directories over several blocks (HAMT), which is not
/// supported here.
const MAX_DIRECTORY_BYTES: u64 = 256 * 1024;
/// Maximum number of links in a node of a file: the number of Kubo.
const MAX_FILE_LINKS: usize = 174;
/// Maximum number of names in a path inside a directory.
const MAX_PATH_NAMES: usize = 32;

/// Format of the CIDs and leaves that are created.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// CID version 1 with raw leaves, as with `ipfs add --cid-version=1`.
    #[default]
    V1,
    /// CID version 0, as with `ipfs add`.
    V0,
}

/// Result of adding a file or directory.
#[derive(Debug)]
pub struct Added {
    /// Root of the DAG.
    pub root: Cid,
    /// Size of all its blocks in bytes, with repeated blocks counted each time (the cumulative size of `ipfs`).
    pub total_size: u64,
    /// Guard that protects its blocks from garbage collection until it is dropped. Pin the root before you drop it.
    pub protection: Protection,
}

/// Source of the content of one file.
#[derive(Clone, Debug)]
pub enum Content {
    /// A file on disk, which is copied into the store.
    File(PathBuf),
    /// A file on disk, which is served in place while it is unchanged. The path must be absolute and without symbolic
    /// links. With [`Format::V0`] the file is copied, because the blocks are not plain pieces of the file.
    InPlace(PathBuf),
    /// The bytes themselves.
    Bytes(Bytes),
}

/// One file in a directory that is added.
#[derive(Clone, Debug)]
pub struct DirectoryEntry {
    /// Path in the directory, with names separated by `/`.
    pub path: String,
    /// Content of the file.
    pub content: Content,
}

/// Error that occurs when content is added.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// The file cannot be read, for this reason.
    #[error("cannot read {0}: {1}")]
    Read(PathBuf, #[source] io::Error),
    /// The file was changed while it was read.
    #[error("{0} was changed while it was read; add it again when no program writes to it any more")]
    Changed(PathBuf),
    /// The blocks cannot be stored.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A path in the directory has a forbidden name, or too many names.
    #[error("{0:?} is not a valid path in a directory")]
    Path(String),
    /// Two entries have the same path, or one lies below the other.
    #[error("the directory has two entries for one path: {0}")]
    Conflict(#[from] TreeBuildingFailed),
    /// The directory does not fit into one block.
    #[error("the directory is too large: {0}")]
    TooLarge(#[from] TreeConstructionFailed),
    /// The caller cancelled the operation.
    #[error("adding was cancelled")]
    Cancelled,
}

/// Callback that is called after each block with its CID, its length, and the number of bytes of content read so far.
/// Returning `false` cancels.
pub type Progress<'a> = dyn FnMut(&Cid, usize, u64) -> bool + 'a;

/// Adds one file. About one chunk of it is in memory at a time.
///
/// # Errors
/// When the file cannot be read or stored. Blocks that were stored already stay until room is needed.
pub fn add_file(
    store: &Store,
    content: &Content,
    format: Format,
    progress: &mut Progress<'_>,
) -> Result<Added, AddError> {
    let mut adding = Adding::new(store, format, progress);
    adding.is_beside = format.is_in_place(content);
    let (root, total_size) = adding.content(content)?;
    Ok(Added { root, total_size, protection: adding.protection })
}

/// Adds a directory with its subdirectories, as the paths of the entries name them. No entries make an empty directory.
///
/// # Errors
/// As [`add_file`], and when a path is not allowed or occurs twice.
pub fn add_directory(
    store: &Store,
    entries: &[DirectoryEntry],
    format: Format,
    progress: &mut Progress<'_>,
) -> Result<Added, AddError> {
    let mut adding = Adding::new(store, format, progress);
    let mut tree = BufferingTreeBuilder::new(tree_options(format));
    adding.is_beside = !entries.iter().any(|entry| matches!(entry.content, Content::File(_)))
        && entries.iter().any(|entry| format.is_in_place(&entry.content));
    for entry in entries {
        check_path(&entry.path)?;
        let (cid, total_size) = adding.content(&entry.content)?;
        tree.put_link(&entry.path, cid, total_size)?;
    }
    let mut root = None;
    for node in tree.build() {
        let node = node?;
        adding.block(&node.cid, &node.block)?;
        root = Some((node.cid, node.total_size));
    }
    // The builder returns the root last, and also for an empty directory.
    let (root, total_size) = root.ok_or_else(|| AddError::Path(String::new()))?;
    Ok(Added { root, total_size, protection: adding.protection })
}

/// Adds a file whose leaves are these pieces, in this order. A file that is written again with few changes then shares
/// the blocks of all other pieces. With pieces of 256 KiB, the root is that of [`add_file`].
///
/// # Errors
/// As [`add_file`].
pub fn add_pieces(store: &Store, pieces: &[Bytes], progress: &mut Progress<'_>) -> Result<Added, AddError> {
    let mut adding = Adding::new(store, Format::V1, progress);
    let mut level = Vec::new();
    for piece in pieces {
        adding.content_bytes += piece.len() as u64;
        level.push(adding.node(dag::RAW, piece, piece.len() as u64)?);
    }
    if level.is_empty() {
        level.push(adding.node(dag::RAW, &[], 0)?);
    }
    while level.len() > 1 {
        let mut above = Vec::new();
        for parts in level.chunks(MAX_FILE_LINKS) {
            let (block, size) = dag::file_node(parts);
            let node = adding.node(dag::DAG_PB, &block, size)?;
            let below = parts.iter().map(|part| part.total_size).sum::<u64>();
            above.push(FilePart { total_size: node.total_size + below, ..node });
        }
        level = above;
    }
    let root = level.pop().ok_or_else(|| AddError::Path(String::new()))?;
    Ok(Added { root: root.cid, total_size: root.total_size, protection: adding.protection })
}

fn check_path(path: &str) -> Result<(), AddError> {
    let mut names = path.split('/');
    if path.split('/').count() <= MAX_PATH_NAMES && names.all(is_safe_name) {
        return Ok(());
    }
    Err(AddError::Path(path.to_owned()))
}

fn tree_options(format: Format) -> TreeOptions {
    let mut options = TreeOptions::default();
    options.wrap_with_directory();
    options.cid_version(format.version());
    options.shard_threshold(None);
    options.block_size_limit(Some(MAX_DIRECTORY_BYTES));
    options
}

impl Format {
    fn version(self) -> Version {
        match self {
            Self::V1 => Version::V1,
            Self::V0 => Version::V0,
        }
    }

    fn is_in_place(self, content: &Content) -> bool {
        self == Self::V1 && matches!(content, Content::InPlace(_))
    }
}

struct Adding<'a, 'p> {
    store: &'a Store,
    format: Format,
    protection: Protection,
    progress: &'a mut Progress<'p>,
    content_bytes: u64,
    /// The file that is being added in place, if there is one.
    in_place: Option<InPlace>,
    /// Whether only blocks beside files served in place are stored.
    is_beside: bool,
}

impl<'a, 'p> Adding<'a, 'p> {
    fn new(store: &'a Store, format: Format, progress: &'a mut Progress<'p>) -> Self {
        let protection = store.protection();
        Self { store, format, protection, progress, content_bytes: 0, in_place: None, is_beside: false }
    }

    /// Stores one block and returns its length.
    fn block(&mut self, cid: &Cid, data: &[u8]) -> Result<u64, AddError> {
        self.protection.add(cid);
        match &mut self.in_place {
            Some(file) if cid.codec() == dag::RAW && !data.is_empty() => file.piece(cid, data.len()),
            _ if self.is_beside => self.store.put_beside(cid, data)?,
            _ => self.store.put(cid, data)?,
        }
        if (self.progress)(cid, data.len(), self.content_bytes) {
            Ok(data.len() as u64)
        } else {
            Err(AddError::Cancelled)
        }
    }

    /// Stores one block of a file with content of `size` bytes in and below it.
    fn node(&mut self, codec: u64, block: &[u8], size: u64) -> Result<FilePart, AddError> {
        let cid = Cid::new_v1(codec, Code::Sha2_256.digest(block));
        let total_size = self.block(&cid, block)?;
        Ok(FilePart { cid, size, total_size })
    }

    /// Adds the content of one file. Returns its root and the size of its blocks.
    fn content(&mut self, content: &Content) -> Result<(Cid, u64), AddError> {
        match content {
            Content::Bytes(bytes) => self.stream(&mut bytes.as_ref(), Path::new("")),
            Content::InPlace(path) if self.format.is_in_place(content) => self.in_place(path),
            Content::File(path) | Content::InPlace(path) => {
                let mut file = File::open(path).map_err(|error| AddError::Read(path.clone(), error))?;
                self.stream(&mut file, path)
            }
        }
    }

    fn in_place(&mut self, path: &Path) -> Result<(Cid, u64), AddError> {
        let unreadable = |error| AddError::Read(path.to_owned(), error);
        let served = self.store.serve_in_place(path).map_err(unreadable)?;
        let mut file = served.file.try_clone().map_err(unreadable)?;
        self.in_place = Some(served);
        let added = self.stream(&mut file, path);
        // Taken also after an error. Dropping it then removes the file from the index of the store.
        let served = self.in_place.take();
        let added = added?;
        served.map_or(Ok(()), InPlace::finish).map_err(|_| AddError::Changed(path.to_owned()))?;
        Ok(added)
    }

    fn stream(&mut self, input: &mut dyn Read, path: &Path) -> Result<(Cid, u64), AddError> {
        let mut adder = FileAdder::builder().with_cid_version(self.format.version()).build();
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let (mut root, mut total_size) = (None, 0);
        loop {
            chunk.clear();
            let read = (&mut *input).take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
            if read.map_err(|error| AddError::Read(path.to_owned(), error))? == 0 {
                break;
            }
            self.content_bytes += chunk.len() as u64;
            total_size += self.push(&mut adder, &chunk, &mut root)?;
        }
        for (cid, data) in adder.finish() {
            total_size += self.block(&cid, &data)?;
            root = Some(cid);
        }
        // The adder makes at least one block, also for an empty file, and the root is the last.
        let root =
            root.ok_or_else(|| AddError::Read(path.to_owned(), io::ErrorKind::UnexpectedEof.into()))?;
        Ok((root, total_size))
    }

    fn push(
        &mut self,
        adder: &mut FileAdder,
        mut input: &[u8],
        last: &mut Option<Cid>,
    ) -> Result<u64, AddError> {
        let mut stored = 0;
        while !input.is_empty() {
            let (blocks, consumed) = adder.push(input);
            for (cid, data) in blocks {
                stored += self.block(&cid, &data)?;
                *last = Some(cid);
            }
            input = input.get(consumed..).unwrap_or_default();
        }
        Ok(stored)
    }
}
