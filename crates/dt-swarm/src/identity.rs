//! The identity of this node: a secret key of 32 bytes in a file, which is created at the first start. The key signs
//! records, and is also the IPFS identity.
//!
//! [`renew`] replaces the key. The daemon uses the new key after its next start, and keeps the former key in another
//! file, because with it the robot could take back its former identity.

use dcache::{Keypair, PeerId};
use rand::TryRng as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Name of the key file in the data folder.
const NAME: &str = "identity.key";

/// Reason why the identity cannot be loaded or created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// The file is not a key. The daemon does not replace it by a new key, because with another key this would be a
    /// different robot.
    #[error(
        "{0} contains no key (it has {1} bytes, not 32): restore it from a copy, or delete it to start as a new robot"
    )]
    Wrong(PathBuf, usize),
    /// The file cannot be read or written.
    #[error("the identity in {0} cannot be used: {1}")]
    Io(PathBuf, #[source] io::Error),
}

/// Loads the identity from the data folder. Makes a new identity if there is none.
pub(crate) fn load_or_make(data_dir: &Path) -> Result<Keypair, IdentityError> {
    let path = data_dir.join(NAME);
    match read(&path)? {
        Some(keypair) => {
            warn_when_others_can_read(&path);
            Ok(keypair)
        }
        None => make(&path).map_err(|error| IdentityError::Io(path, error)),
    }
}

/// Reads a key file. Returns `None` if it does not exist.
fn read(path: &Path) -> Result<Option<Keypair>, IdentityError> {
    match fs::read(path) {
        Ok(bytes) => {
            let length = bytes.len();
            let seed = bytes.try_into().map_err(|_| IdentityError::Wrong(path.to_owned(), length))?;
            Ok(Some(Keypair::from_seed(seed)))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(IdentityError::Io(path.to_owned(), error)),
    }
}

/// Makes a key, and stores it durably before it is used. After a power failure, the file has its old or its new
/// content.
fn make(path: &Path) -> io::Result<Keypair> {
    let mut seed = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut seed).map_err(io::Error::other)?;
    control::replace(path, &seed, 0o600)?;
    Ok(Keypair::from_seed(seed))
}

/// A key that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Renewed {
    /// Peer ID of the new key.
    pub(crate) peer: PeerId,
    /// File in which the former key is kept.
    pub(crate) former_key: PathBuf,
}

/// Replaces the key in the data folder by a new one, after the former key is durably in a file of its own.
///
/// # Errors
/// When a file cannot be written. The key is then unchanged.
pub(crate) fn renew(data_dir: &Path, former: &Keypair) -> Result<Renewed, IdentityError> {
    let former_key = data_dir.join(format!("identity.former-{}.key", former.peer_id()));
    control::replace(&former_key, &former.seed(), 0o600)
        .map_err(|error| IdentityError::Io(former_key.clone(), error))?;
    let path = data_dir.join(NAME);
    let new = make(&path).map_err(|error| IdentityError::Io(path, error))?;
    Ok(Renewed { peer: new.peer_id(), former_key })
}

fn warn_when_others_can_read(path: &Path) {
    let is_open = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0);
    if is_open {
        tracing::warn!(path = %path.display(), "other users can read the secret key of this node; run `chmod 600` on it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let made = load_or_make(folder.path()).unwrap().peer_id();
        assert_eq!(load_or_make(folder.path()).unwrap().peer_id(), made);
        let mode = fs::metadata(folder.path().join(NAME)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let other = tempfile::tempdir().unwrap();
        assert_ne!(load_or_make(other.path()).unwrap().peer_id(), made);
    }

    #[test]
    fn a_renewed_identity_is_another_one_and_the_former_key_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let former = load_or_make(folder.path()).unwrap();
        let renewed = renew(folder.path(), &former).unwrap();
        assert_ne!(renewed.peer, former.peer_id());
        assert_eq!(load_or_make(folder.path()).unwrap().peer_id(), renewed.peer);
        let kept = read(&renewed.former_key).unwrap().unwrap();
        assert_eq!(kept.peer_id(), former.peer_id());
        let mode = fs::metadata(&renewed.former_key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let name = renewed.former_key.file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.contains(&former.peer_id().to_string()), "{name}");
    }

    #[test]
    fn a_key_stays_unless_the_former_key_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let former = load_or_make(folder.path()).unwrap();
        let taken = folder.path().join(format!("identity.former-{}.key", former.peer_id()));
        fs::create_dir(taken).unwrap();
        assert!(matches!(renew(folder.path(), &former), Err(IdentityError::Io(..))));
        assert_eq!(load_or_make(folder.path()).unwrap().peer_id(), former.peer_id());
    }

    #[test]
    fn a_broken_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "short").unwrap();
        let error = load_or_make(folder.path()).unwrap_err().to_string();
        assert!(error.contains("identity.key") && error.contains("5 bytes"), "{error}");
        assert_eq!(fs::read(folder.path().join(NAME)).unwrap(), b"short");
    }
}
