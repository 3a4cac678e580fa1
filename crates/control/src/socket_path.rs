//! Paths of sockets: support for paths longer than a socket address (107 bytes), and the path to publish.

use crate::durable::folder;
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Maximum length of a published path, in bytes. Such a path fits into a line of the line protocol.
const MAX_TOLD_BYTES: usize = 1024;

/// A path for binding or connecting a socket, valid while this value exists.
///
/// A path that fits into a socket address is used unchanged. For a longer path, the folder is opened, and the socket is
/// reached by its name below `/proc/self/fd`.
#[derive(Debug)]
pub(crate) struct SocketPath {
    path: PathBuf,
    _folder: Option<OwnedFd>,
}

impl SocketPath {
    /// Creates a usable path for the socket at `path`. Both the daemon and its clients use it, so they have the same limit.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be opened, or if the file name alone is too long.
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

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns the absolute path of a socket for publication to other programs on this computer.
///
/// Returns `None` if the path is longer than 1024 bytes, is not UTF-8, or contains control characters.
pub fn told_path(path: &Path) -> Option<String> {
    let path = std::path::absolute(path).ok()?;
    let text = path.to_str().filter(|text| text.len() <= MAX_TOLD_BYTES)?;
    (!text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_path_is_absolute_without_control_characters_and_bounded() {
        assert_eq!(told_path(Path::new("/run/a.sock")).as_deref(), Some("/run/a.sock"));
        assert!(told_path(Path::new("a.sock")).unwrap().starts_with('/'));
        assert_eq!(told_path(Path::new("/run/\u{1b}[2J")), None);
        assert_eq!(told_path(&Path::new("/").join("x".repeat(MAX_TOLD_BYTES))), None);
    }

    #[test]
    fn a_file_name_too_long_for_an_address_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(SocketPath::new(&folder.path().join("x".repeat(120))).is_err());
    }
}
