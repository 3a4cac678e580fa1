//! Reading of archives that may be hostile: what they contain is checked before anything is given to a [`Sink`].
//!
//! An archive is a tar file, plain or compressed with gzip or zstd. It may contain folders, files, symbolic links that
//! stay in the archive, and hard links to earlier files of the archive. Everything else is refused: absolute paths and
//! `..`, links that lead out of the archive, devices, sparse files, and entries that replace an earlier one. Owners,
//! times, attributes and all permissions but the right to execute are ignored.
//!
//! No path leads through a symbolic link: each parent of an entry has to be a folder of the archive. So a sink that
//! begins with an empty folder never writes outside of it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod compression;
mod extension;
mod limited;
mod path;
#[cfg(test)]
mod tests;
mod tree;

use self::extension::Extensions;
use self::limited::Limited;
use self::tree::Tree;
use std::io::{self, BufRead, Read};
use tar::EntryType;
use thiserror::Error;

/// Limits on the content of an archive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Maximum size of all files together in bytes.
    pub bytes: u64,
    /// Maximum number of entries, with folders that the archive does not mention.
    pub entries: u32,
    /// Maximum length of a path and of the target of a link in bytes.
    pub path_bytes: usize,
    /// Maximum number of names in a path.
    pub depth: usize,
    /// Maximum length of all paths together in bytes. It limits the memory that reading needs.
    pub names_bytes: usize,
}

impl Default for Limits {
    /// A large model or a workspace fits: 8 GiB in 100,000 entries.
    fn default() -> Self {
        Self { bytes: 8 << 30, entries: 100_000, path_bytes: 1024, depth: 64, names_bytes: 16 << 20 }
    }
}

/// An archive is not accepted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The archive cannot be read or decompressed.
    #[error("the archive is damaged")]
    Damaged(#[source] io::Error),
    /// An entry is dangerous or of a kind that is not supported.
    #[error("the entry {path:?} is refused: {reason}")]
    Entry {
        /// Path of the entry, shortened.
        path: String,
        /// The reason for the refusal.
        reason: &'static str,
    },
    /// The archive is compressed by a method that is not supported.
    #[error("the archive is compressed with {method}: use gzip or zstd")]
    Compression {
        /// Name of the method.
        method: &'static str,
    },
    /// A limit is exceeded.
    #[error("the archive has more than {limit} {unit}")]
    TooLarge {
        /// The limit, in the unit.
        limit: u64,
        /// The unit of the limit.
        unit: &'static str,
    },
    /// The content cannot be written.
    #[error("the content cannot be written")]
    Sink(#[source] io::Error),
}

/// Receives the content of an archive. All paths are relative, and their names are neither empty nor `.` nor `..`. A
/// folder comes before its content.
pub trait Sink {
    /// Takes a folder.
    ///
    /// # Errors
    /// Returns an error if it cannot be written. Reading then ends.
    fn folder(&mut self, path: &str) -> io::Result<()>;

    /// Takes a file of `bytes` bytes.
    ///
    /// # Errors
    /// Returns an error if it cannot be written. Reading then ends. An error of `content` has to be returned as it is.
    fn file(&mut self, path: &str, is_executable: bool, content: &mut dyn Read) -> io::Result<()>;

    /// Takes a symbolic link. Its target stays in the archive.
    ///
    /// # Errors
    /// Returns an error if it cannot be written. Reading then ends.
    fn symbolic_link(&mut self, path: &str, target: &str) -> io::Result<()>;

    /// Takes another name of a file that was given before.
    ///
    /// # Errors
    /// Returns an error if it cannot be written. Reading then ends.
    fn hard_link(&mut self, path: &str, existing: &str) -> io::Result<()>;
}

/// Numbers of an archive that was read.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Totals {
    /// Number of entries, with folders that the archive did not mention.
    pub entries: u32,
    /// Size of all files together in bytes.
    pub bytes: u64,
}

/// Reads an archive from its beginning to its end, and gives its content to the sink. The reader may have more bytes
/// after the end of the archive; they are not read.
///
/// # Errors
/// Returns an error if the archive is damaged, dangerous or too large, or if the sink fails. The sink may have received
/// a part of the content by then.
pub fn read(reader: impl BufRead, limits: &Limits, sink: &mut dyn Sink) -> Result<Totals, ArchiveError> {
    let decompressed = compression::open(reader)?;
    // Each entry has a header and padding, and at most a few extensions before it.
    let overhead = u64::from(limits.entries).saturating_mul(4096).saturating_add(1 << 20);
    let limited = Limited::new(decompressed, limits.bytes.saturating_add(overhead));
    let mut archive = tar::Archive::new(limited);
    let mut tree = Tree::new(limits);
    let mut extensions = Extensions::default();
    // Raw entries, because the library would read names of any length into memory.
    let entries = archive.entries().map_err(|error| damaged(error, limits))?.raw(true);
    for entry in entries {
        let mut entry = entry.map_err(|error| damaged(error, limits))?;
        let size = entry.header().entry_size().map_err(|error| damaged(error, limits))?;
        if extensions.take(entry.header().entry_type(), size, &mut entry, limits)? {
            tree.count_extension()?;
            continue;
        }
        let header = Header::of(entry.header(), size, std::mem::take(&mut extensions))?;
        header.give(&mut tree, &mut entry, sink, limits)?;
    }
    Ok(tree.totals())
}

/// Returns the error for a failure of the reader, which may be a limit.
fn damaged(error: io::Error, limits: &Limits) -> ArchiveError {
    if limited::is_limit(&error) {
        return ArchiveError::TooLarge { limit: limits.bytes, unit: "bytes" };
    }
    ArchiveError::Damaged(error)
}

/// The header of an entry, with the extensions before it.
struct Header {
    path: String,
    target: Option<String>,
    entry_type: EntryType,
    size: u64,
    is_executable: bool,
}

impl Header {
    fn of(header: &tar::Header, size: u64, extensions: Extensions) -> Result<Self, ArchiveError> {
        let path = match extensions.path {
            Some(path) => path,
            None => text(&header.path_bytes())?,
        };
        let target = match (extensions.target, header.link_name_bytes()) {
            (Some(target), _) => Some(target),
            (None, Some(target)) => Some(text(&target)?),
            (None, None) => None,
        };
        let entry = |reason| path::refused(&path, reason);
        if extensions.size.is_some_and(|stated| stated != size) {
            return Err(entry("its header and its extension state different sizes"));
        }
        let entry_type = header.entry_type();
        // Writers may leave the permissions of a link empty.
        let mode = match entry_type {
            EntryType::Symlink => 0,
            _ => header.mode().map_err(|_| entry("its permissions are damaged"))?,
        };
        Ok(Self { path, target, entry_type, size, is_executable: mode & 0o100 != 0 })
    }

    fn give(
        self,
        tree: &mut Tree<'_>,
        content: &mut dyn Read,
        sink: &mut dyn Sink,
        limits: &Limits,
    ) -> Result<(), ArchiveError> {
        let is_file = matches!(self.entry_type, EntryType::Regular | EntryType::Continuous);
        // Old archives mark folders only by the slash at the end.
        if self.entry_type.is_dir() || is_file && self.path.ends_with('/') {
            return self.give_folder(tree, sink);
        }
        let path = path::normal(&self.path, limits)?;
        if path.is_empty() {
            return Err(path::refused(&self.path, "it has no name"));
        }
        match self.entry_type {
            _ if is_file => self.give_file(&path, tree, content, sink, limits),
            _ if self.size > 0 => Err(path::refused(&path, "a link has no content")),
            EntryType::Symlink => self.give_symbolic_link(&path, tree, sink, limits),
            EntryType::Link => self.give_hard_link(&path, tree, sink, limits),
            EntryType::Block | EntryType::Char => Err(path::refused(&path, "it is a device")),
            EntryType::Fifo => Err(path::refused(&path, "it is a pipe")),
            EntryType::GNUSparse => Err(path::refused(&path, "sparse files are not supported")),
            _ => Err(path::refused(&path, "its type is not supported")),
        }
    }

    fn give_folder(&self, tree: &mut Tree<'_>, sink: &mut dyn Sink) -> Result<(), ArchiveError> {
        if self.size > 0 {
            return Err(path::refused(&self.path, "a folder has no content"));
        }
        let path = path::normal(&self.path, tree.limits())?;
        tree.add_folder(&path, sink)
    }

    fn give_file(
        &self,
        path: &str,
        tree: &mut Tree<'_>,
        content: &mut dyn Read,
        sink: &mut dyn Sink,
        limits: &Limits,
    ) -> Result<(), ArchiveError> {
        tree.add_file(path, self.size, sink)?;
        let mut exact = limited::Exact::new(content, self.size);
        sink.file(path, self.is_executable, &mut exact).map_err(|error| exact.blame(error, limits))?;
        exact.finish(limits)
    }

    fn give_symbolic_link(
        &self,
        path: &str,
        tree: &mut Tree<'_>,
        sink: &mut dyn Sink,
        limits: &Limits,
    ) -> Result<(), ArchiveError> {
        let target = self.target.as_deref().unwrap_or_default();
        path::check_link(path, target, limits)?;
        tree.add_link(path, target.len(), sink)?;
        sink.symbolic_link(path, target).map_err(ArchiveError::Sink)
    }

    fn give_hard_link(
        &self,
        path: &str,
        tree: &mut Tree<'_>,
        sink: &mut dyn Sink,
        limits: &Limits,
    ) -> Result<(), ArchiveError> {
        let existing = path::normal(self.target.as_deref().unwrap_or_default(), limits)?;
        if !tree.is_file(&existing) {
            return Err(path::refused(path, "a hard link must name an earlier file of the archive"));
        }
        tree.add_file(path, 0, sink)?;
        sink.hard_link(path, &existing).map_err(ArchiveError::Sink)
    }
}

fn text(bytes: &[u8]) -> Result<String, ArchiveError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(path::refused(&String::from_utf8_lossy(bytes), "its name is not UTF-8")),
    }
}
