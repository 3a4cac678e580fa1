//! The socket itself: where it is, and whose it is.

use crate::durable::folder;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::net::UnixListener;

/// A socket that takes connections. It goes when this is dropped.
#[derive(Debug)]
pub struct Door {
    pub(crate) listener: UnixListener,
    path: PathBuf,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum DoorError {
    /// Another daemon is there.
    #[error("another daemon answers at {0}: stop that one, or give this one its own socket with --socket")]
    Living(PathBuf),
    /// Something else is there, which is not for us to remove.
    #[error("{0} is there and no socket: move it away, or choose another place with --socket")]
    Foreign(PathBuf),
    /// The system refuses.
    #[error("the control socket {0} cannot be opened: {1}; choose another place with --socket")]
    Io(PathBuf, io::Error),
}

impl Door {
    /// Opens the socket at `path`, for its owner alone; one that nobody serves any more is replaced. The folder is made
    /// when it is not there.
    ///
    /// # Errors
    /// When another daemon or something else is there, or the system refuses.
    pub fn open(path: &Path) -> Result<Self, DoorError> {
        look(path)?;
        let listener = bind(path).map_err(|error| DoorError::Io(path.to_owned(), error))?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // One that stays is replaced by the next daemon.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the place is free, or taken by a socket that nobody serves.
fn look(path: &Path) -> Result<(), DoorError> {
    let failed = |error| DoorError::Io(path.to_owned(), error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(DoorError::Foreign(path.to_owned())),
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(DoorError::Living(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Bound aside and given its name afterwards: so it has its mode before anybody can find it, and replaces at once what
/// was there.
fn bind(path: &Path) -> io::Result<UnixListener> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder(path))?;
    let aside = path.with_extension("new");
    let _ = fs::remove_file(&aside);
    let listener = UnixListener::bind(&aside)?;
    fs::set_permissions(&aside, Permissions::from_mode(0o600))?;
    fs::rename(&aside, path)?;
    Ok(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn is_its_owners_alone_and_goes_with_its_door() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dt-swarm/control.sock");
        let door = Door::open(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(matches!(Door::open(&path), Err(DoorError::Living(_))));
        drop(door);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_another_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        // As a daemon leaves it whose power was cut.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(Door::open(&path).unwrap());
        fs::write(&path, "mine").unwrap();
        let error = Door::open(&path).unwrap_err();
        assert!(matches!(error, DoorError::Foreign(_)) && error.to_string().contains("--socket"));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }
}
