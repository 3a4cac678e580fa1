//! Reads files that other programs may change at any time.
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags};

/// Attributes that cheaply show whether a file is unchanged. They can be forged; the hash of every block is checked in
/// addition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) length: u64,
    /// Time of the last change in nanoseconds since the epoch.
    pub(super) modified: i64,
    pub(super) inode: u64,
}

impl Identity {
    /// Returns the identity of an open file, or an error when it is not a regular file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it is not a regular file"));
        }
        let modified = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Ok(Self { length: metadata.len(), modified, inode: metadata.ino() })
    }

    /// Returns the identity of the file at a path.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Self::of(&open(path)?)
    }
}

/// Opens a file by an absolute path without symbolic links: a folder that was replaced by a link is not entered.
/// Opening a pipe without a writer does not block.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let last = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut names = path.components();
    if names.next() != Some(Component::RootDir) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not an absolute path"));
    }
    let mut place = rustix::fs::open("/", folder, Mode::empty())?;
    let mut names = names.peekable();
    while let Some(name) = names.next() {
        let Component::Normal(name) = name else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a plain path"));
        };
        let flags = if names.peek().is_some() { folder } else { last };
        place = rustix::fs::openat(&place, name, flags, Mode::empty())?;
    }
    Ok(place.into())
}

/// Reads bytes of the file at `path`. Also returns the identity of the file just before. The file may have been
/// replaced since, so the caller checks the hash.
pub(super) fn read(path: &Path, offset: u64, length: usize) -> io::Result<(Vec<u8>, Identity)> {
    let file = open(path)?;
    let identity = Identity::of(&file)?;
    let mut data = vec![0; length];
    file.read_exact_at(&mut data, offset)?;
    Ok((data, identity))
}

/// Returns whether an error means that the file is gone or not readable for this user. Other errors pass, such as too
/// many open files.
pub(super) fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied, StaleNetworkFileHandle};
    use rustix::io::Errno;
    // Opening a link as a folder fails with "not a directory", and opening a link as the file with "loop". A pipe or a
    // device may fail with "no such device".
    let others = [Errno::LOOP, Errno::NXIO, Errno::NODEV].map(|errno| Some(errno.raw_os_error()));
    matches!(
        error.kind(),
        NotFound | NotADirectory | IsADirectory | PermissionDenied | StaleNetworkFileHandle
    ) || others.contains(&error.raw_os_error())
}
