//! Paths of sockets that are longer than a socket address holds (108 bytes), and the path as others are told it.

use crate::durable::folder;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Longest path, in bytes, that is told to others, so that it always fits into a line.
const MAX_TOLD_BYTES: usize = 1024;

/// A path by which the operating system reaches a socket: the path itself, or for a long one its name in the open
/// folder. It is good while this value lives.
#[derive(Debug)]
pub(crate) struct SocketPath {
    path: PathBuf,
    _folder: Option<OwnedFd>,
}

impl SocketPath {
    /// Makes the path. Binding and connecting have the same limit, so that what was bound can be reached.
    ///
    /// # Errors
    /// When the folder cannot be opened, or the name alone is too long.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        if SocketAddr::from_pathname(path).is_ok() {
            return Ok(Self { path: path.to_owned(), _folder: None });
        }
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let folder = rustix::fs::open(
            folder(path),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
        SocketAddr::from_pathname(&short)?;
        Ok(Self { path: short, _folder: Some(folder) })
    }

    /// Returns the path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns the absolute path of a socket as other programs on this computer are told it; `None` for one that is very long
/// or that is not plain text.
pub fn told_path(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let text = path.to_str().filter(|text| text.len() <= MAX_TOLD_BYTES)?;
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_absolute_plain_and_bounded() {
        assert_eq!(told_path(Path::new("/run/a.sock")).as_deref(), Some("/run/a.sock"));
        assert!(told_path(Path::new("a.sock")).unwrap().starts_with('/'));
        assert_eq!(told_path(Path::new("/run/\u{1b}[2J")), None);
        assert_eq!(told_path(&Path::new("/").join("x".repeat(MAX_TOLD_BYTES))), None);
    }

    #[test]
    fn a_name_that_fits_into_no_address_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(SocketPath::new(&folder.path().join("x".repeat(120))).is_err());
    }
}
