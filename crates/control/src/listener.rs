//! Opens the socket: binds it at its path, with its owner and mode.

use crate::durable::folder;
use crate::socket_path::SocketPath;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// A bound control socket. Dropping it removes the socket file.
#[derive(Debug)]
pub struct Listener {
    socket: UnixListener,
    path: PathBuf,
}

/// The reason why the socket could not be bound.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon serves the path.
    #[error("another daemon answers at {0}: stop that one, or give this one its own socket with --socket")]
    Living(PathBuf),
    /// The path is taken by a file that is not a socket. The daemon does not remove it.
    #[error("{0} exists and is not a socket: move it away, or choose another path with --socket")]
    Foreign(PathBuf),
    /// The operating system reports an error.
    #[error("the control socket {0} cannot be opened: {1}; choose another path with --socket")]
    Io(PathBuf, #[source] io::Error),
}

impl Listener {
    /// Binds the socket at `path` with mode 0600.
    ///
    /// Replaces a socket that no process serves any more. Creates the folder if it is missing.
    ///
    /// # Errors
    /// Returns an error if another daemon or another kind of file is at `path`, or if the operating system reports one.
    pub fn open(path: &Path) -> Result<Self, BindError> {
        look(path)?;
        let socket = bind(path).map_err(|error| BindError::Io(path.to_owned(), error))?;
        Ok(Self { socket, path: path.to_owned() })
    }

    /// Accepts the next connection of the user of this process or of root. Connections of other users are closed.
    ///
    /// # Errors
    /// When the operating system cannot accept connections.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        loop {
            let (stream, _) = self.socket.accept().await?;
            if is_owner(&stream) {
                return Ok(stream);
            }
        }
    }

    /// Returns the path of the socket.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // If the removal fails, the next daemon replaces the socket file.
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns whether the client runs as the user of this process or as root. The mode of the socket file already keeps
/// other users out, but it can be changed by mistake.
fn is_owner(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    let peer = stream.peer_cred().map(|credentials| credentials.uid());
    let is_owner = peer.as_ref().is_ok_and(|peer| is_allowed(*peer, own));
    if !is_owner {
        tracing::warn!(
            ?peer,
            "refused a client of another user at a socket; only the daemon's user and root may use it"
        );
    }
    is_owner
}

fn is_allowed(peer: u32, own: u32) -> bool {
    peer == own || peer == 0
}

/// Checks that the path is free, or taken by a socket that no process serves.
fn look(path: &Path) -> Result<(), BindError> {
    let failed = |error| BindError::Io(path.to_owned(), error);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if !metadata.file_type().is_socket() => return Err(BindError::Foreign(path.to_owned())),
        Ok(_) => {}
    }
    let reachable = SocketPath::new(path).map_err(failed)?;
    match std::os::unix::net::UnixStream::connect(reachable.path()) {
        Ok(_) => Err(BindError::Living(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Binds under a temporary name and renames afterwards, so that the socket has its mode before any process can find it
/// and an old socket is replaced in one step.
fn bind(path: &Path) -> io::Result<UnixListener> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder(path))?;
    let aside = path.with_extension("new");
    let _ = fs::remove_file(&aside);
    // Clients have to connect to the final path. If that path is too long for them, the socket would be useless.
    SocketPath::new(path)?;
    let listener = UnixListener::bind(SocketPath::new(&aside)?.path())?;
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
    async fn the_socket_is_private_and_removed_with_its_listener() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dt-swarm/control.sock");
        let listener = Listener::open(&path).unwrap();
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert!(matches!(Listener::open(&path), Err(BindError::Living(_))));
        drop(listener);
        assert!(!path.exists());
    }

    #[test]
    fn only_the_owner_and_root_are_allowed() {
        assert!(is_allowed(1000, 1000) && is_allowed(0, 1000) && is_allowed(0, 0));
        assert!(!is_allowed(1001, 1000) && !is_allowed(1000, 0));
    }

    #[tokio::test]
    async fn a_path_of_any_length_is_reached() {
        let folder = tempfile::tempdir().unwrap();
        let room = folder.path().as_os_str().len() + 1;
        // A socket address has room for 107 bytes and a terminating zero.
        for (length, name) in [(106, "s"), (107, "s"), (108, "control.sock"), (109, "a.socket"), (300, "s")] {
            let filler = length - room - name.len() - 1;
            let (first, second) = (filler.min(150), filler.saturating_sub(151));
            let mut path = folder.path().join("d".repeat(first));
            if second > 0 {
                path.push("d".repeat(second));
            }
            path.push(name);
            assert_eq!(path.as_os_str().len(), length);
            let listener = Listener::open(&path).unwrap();
            let client = crate::Client::connect(&path, std::time::Duration::from_secs(5));
            assert!(client.is_ok(), "{length} bytes: {client:?}");
            assert!(matches!(Listener::open(&path), Err(BindError::Living(_))), "{length} bytes");
            drop(listener);
            assert!(!path.exists());
        }
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_and_another_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        // A daemon that lost power leaves such a socket file.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(Listener::open(&path).unwrap());
        fs::write(&path, "mine").unwrap();
        let error = Listener::open(&path).unwrap_err();
        assert!(matches!(error, BindError::Foreign(_)) && error.to_string().contains("--socket"));
        assert_eq!(fs::read(&path).unwrap(), b"mine");
    }
}
