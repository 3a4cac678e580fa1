//! A file of somebody else, looked at and read without trusting that it stays what it is.
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags};

/// What shows cheaply that a file is still the one that it was. Whoever wants to fool it can; every block's hash is
/// checked besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) length: u64,
    /// Nanoseconds since the epoch.
    pub(super) modified: i64,
    pub(super) inode: u64,
}

impl Identity {
    /// That of an open file; an error when it is no plain file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "it is no plain file"));
        }
        let modified = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Ok(Self { length: metadata.len(), modified, inode: metadata.ino() })
    }

    /// That of the file at a path.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Self::of(&open(path)?)
    }
}

/// Opens a file by an absolute path in which nothing is a symbolic link: a folder that was replaced by a link to
/// somewhere else is not entered. A pipe with nobody at its other end does not block.
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

/// Bytes of the file at `path`, and what the file looked like just before they were read. The file may be another by
/// now: the caller checks the hash.
pub(super) fn read(path: &Path, offset: u64, length: usize) -> io::Result<(Vec<u8>, Identity)> {
    let file = open(path)?;
    let identity = Identity::of(&file)?;
    let mut data = vec![0; length];
    file.read_exact_at(&mut data, offset)?;
    Ok((data, identity))
}

/// Whether an error says that the file is not there any more, or not for us. Others pass, such as too many open files.
pub(super) fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied, StaleNetworkFileHandle};
    use rustix::io::Errno;
    // A link where a folder was is "not a directory", one where the file was is a "loop"; a pipe or a device may be "no
    // such device".
    let others = [Errno::LOOP, Errno::NXIO, Errno::NODEV].map(|errno| Some(errno.raw_os_error()));
    matches!(
        error.kind(),
        NotFound | NotADirectory | IsADirectory | PermissionDenied | StaleNetworkFileHandle
    ) || others.contains(&error.raw_os_error())
}
