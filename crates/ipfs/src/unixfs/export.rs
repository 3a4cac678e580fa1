//! Writes files and directories from the store to the disk.
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use cid::Cid;
use multihash_codetable::{Code, MultihashDigest as _};

use super::read::{Budget, ReadError, entries, load, stream};
use crate::dag::Node;
use crate::store::Store;

/// Maximum depth of nested directories.
const MAX_DIRECTORY_DEPTH: usize = 32;
/// Maximum length, in bytes, of a name that is repeated in a temporary name. With its prefix and suffix, the temporary
/// name stays below 143 bytes, the limit of encrypted folders (eCryptfs). Other file systems of Linux allow 255.
const MAX_REPEATED_BYTES: usize = 128;

/// Error that occurs when content is exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The content cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Writing to the disk failed at this path.
    #[error("cannot write {0}: {1}")]
    Write(PathBuf, #[source] io::Error),
    /// The destination has no file name.
    #[error("cannot write to {0}: the path has no file name")]
    Destination(PathBuf),
    /// Directories are nested more deeply than allowed.
    #[error("directories are nested more than {MAX_DIRECTORY_DEPTH} deep")]
    TooDeep,
}

/// Writes the file or directory `root` to `destination`. It is first written under a temporary name beside it, then
/// synced, then renamed, so the destination is always complete, even after a power cut. A file at the destination is
/// replaced; a directory there must be empty. Symbolic links on the disk are never followed.
///
/// Returns the number of bytes of content written.
///
/// # Errors
/// When the content is missing, broken, larger than `max_bytes`, or has forbidden names, and when writing fails. Then
/// nothing is left at the destination.
pub fn export(store: &Store, root: &Cid, destination: &Path, max_bytes: u64) -> Result<u64, ExportError> {
    let temporary = temporary_name(destination)?;
    remove(&temporary)?;
    let mut exporting = Exporting { store, budget: Budget::new(max_bytes), written: 0 };
    let result = exporting.entry(root, &temporary, 0).and_then(|()| publish(&temporary, destination));
    if result.is_err() {
        let _ = remove(&temporary);
    }
    result.map(|()| exporting.written)
}

struct Exporting<'a> {
    store: &'a Store,
    budget: Budget,
    written: u64,
}

impl Exporting<'_> {
    fn entry(&mut self, cid: &Cid, path: &Path, depth: usize) -> Result<(), ExportError> {
        if depth > MAX_DIRECTORY_DEPTH {
            return Err(ExportError::TooDeep);
        }
        match load(self.store, cid, &mut self.budget)? {
            Node::Directory { links } => {
                fs::create_dir(path).map_err(|error| ExportError::Write(path.to_owned(), error))?;
                let mut entries = entries(links)?.into_iter();
                entries.try_for_each(|entry| self.entry(&entry.cid, &path.join(&entry.name), depth + 1))
            }
            file @ Node::File { .. } => self.file((*cid, file), path),
        }
    }

    fn file(&mut self, file: (Cid, Node), path: &Path) -> Result<(), ExportError> {
        let failed = |error| ExportError::Write(path.to_owned(), error);
        // `create_new` follows no link and overwrites nothing. A directory with the same name twice fails here.
        let mut output =
            BufWriter::new(OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?);
        let written = &mut self.written;
        stream(self.store, file, &mut self.budget, &mut |piece| {
            *written += piece.len() as u64;
            output.write_all(piece).map_err(failed)
        })?;
        output.flush().map_err(failed)
    }
}

/// Returns a hidden temporary name beside the destination. It is always the same for one destination, so the next
/// export finds and removes the file that a killed process left. It is not too long for any file system that allows the
/// name of the destination.
pub(super) fn temporary_name(destination: &Path) -> Result<PathBuf, ExportError> {
    let nowhere = || ExportError::Destination(destination.to_owned());
    let name = destination.file_name().ok_or_else(nowhere)?;
    let mut hidden = OsString::from(".");
    if name.len() <= MAX_REPEATED_BYTES {
        hidden.push(name);
    } else {
        // Long names with the same beginning must not share one temporary name.
        let hash = Code::Sha2_256.digest(name.as_bytes());
        hash.digest().iter().for_each(|byte| hidden.push(format!("{byte:02x}")));
    }
    hidden.push(".partial");
    Ok(destination.with_file_name(hidden))
}

fn remove(path: &Path) -> Result<(), ExportError> {
    let removed = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => Err(error),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    removed.map_err(|error| ExportError::Write(path.to_owned(), error))
}

fn publish(temporary: &Path, destination: &Path) -> Result<(), ExportError> {
    let folder =
        destination.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let publish = || -> io::Result<()> {
        // One sync of the file system costs less than one for each file.
        let folder = File::open(folder)?;
        rustix::fs::syncfs(&folder)?;
        fs::rename(temporary, destination)?;
        folder.sync_all()
    };
    publish().map_err(|error| ExportError::Write(destination.to_owned(), error))
}
