//! The operations on files that an installation uses, so that tests can cut the power at each of them.

#[cfg(any(test, feature = "fault-injection"))]
pub(crate) mod simulated;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// A file that is being written.
pub trait NewFile: Write {
    /// Returns once the content is on the disk.
    ///
    /// # Errors
    /// Returns an error if the disk fails. The content is then unknown.
    fn sync(&mut self) -> io::Result<()>;
}

/// Kinds of entries of a folder.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder, not a link to one.
    Folder,
    /// A symbolic link, or anything else.
    Other,
}

/// A disk. Its operations are those of the file system: without a sync, nothing is safe from a power cut, and a rename in
/// a folder happens completely or not at all.
///
/// # Errors
/// All functions return the errors of the disk.
#[expect(clippy::missing_errors_doc, reason = "the trait has one section for all")]
pub trait Disk: Send + Sync {
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>>;
    /// Creates a file, which must not exist.
    fn create(&self, path: &Path, is_executable: bool) -> io::Result<Box<dyn NewFile>>;
    /// Creates a folder, whose parent must exist.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// Returns once the names in a folder are on the disk.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;
    /// Renames an entry of a folder, and replaces the file or link that has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Creates a symbolic link.
    fn symbolic_link(&self, target: &Path, path: &Path) -> io::Result<()>;
    /// Gives a file another name.
    fn hard_link(&self, existing: &Path, path: &Path) -> io::Result<()>;
    /// Returns the target of a symbolic link, or nothing if there is none.
    fn read_link(&self, path: &Path) -> io::Result<Option<PathBuf>>;
    /// Removes a file or a link, if it exists.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder with its content, if it exists. It follows no links.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// Returns the entries of a folder, or none if it does not exist.
    fn list(&self, path: &Path) -> io::Result<Vec<(OsString, EntryKind)>>;
    /// Returns the size of a file and whether it is executable, or nothing if there is no such file.
    fn file(&self, path: &Path) -> io::Result<Option<(u64, bool)>>;
    /// Returns the free space in bytes, if it is known.
    fn free_bytes(&self, path: &Path) -> Option<u64>;
}

/// The file system of this computer.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl NewFile for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn Read>> {
        Ok(Box::new(File::open(path)?))
    }

    fn create(&self, path: &Path, is_executable: bool) -> io::Result<Box<dyn NewFile>> {
        let mode = if is_executable { 0o755 } else { 0o644 };
        let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        // Without the mask of the process, which may keep others from reading.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(Box::new(file))
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn symbolic_link(&self, target: &Path, path: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, path)
    }

    fn hard_link(&self, existing: &Path, path: &Path) -> io::Result<()> {
        fs::hard_link(existing, path)
    }

    fn read_link(&self, path: &Path) -> io::Result<Option<PathBuf>> {
        match fs::read_link(path) {
            // `InvalidInput` means that it is no link.
            Err(error) if [ErrorKind::NotFound, ErrorKind::InvalidInput].contains(&error.kind()) => Ok(None),
            result => result.map(Some),
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        absent_is_fine(fs::remove_file(path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        absent_is_fine(fs::remove_dir_all(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<(OsString, EntryKind)>> {
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            result => result?,
        };
        let read = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            let kind = match entry.file_type()? {
                kind if kind.is_file() => EntryKind::File,
                kind if kind.is_dir() => EntryKind::Folder,
                _ => EntryKind::Other,
            };
            Ok((entry.file_name(), kind))
        };
        entries.map(read).collect()
    }

    fn file(&self, path: &Path) -> io::Result<Option<(u64, bool)>> {
        match fs::metadata(path) {
            Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => Ok(None),
            result => {
                let metadata = result?;
                Ok(metadata.is_file().then(|| (metadata.len(), metadata.mode() & 0o100 != 0)))
            }
        }
    }

    fn free_bytes(&self, path: &Path) -> Option<u64> {
        let state = rustix::fs::statvfs(path).ok()?;
        Some(state.f_bavail.saturating_mul(state.f_frsize))
    }
}

fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// Tells whether an error says that the disk is full.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
