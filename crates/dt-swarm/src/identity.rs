//! The identity of this node: a secret key of 32 bytes in a file, which is created at the first start. The key signs
//! records, and is also the IPFS identity.

use dcache::Keypair;
use rand::TryRng as _;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
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
    let failed = |error| IdentityError::Io(path.clone(), error);
    match fs::read(&path) {
        Ok(bytes) => {
            let length = bytes.len();
            let seed = bytes.try_into().map_err(|_| IdentityError::Wrong(path.clone(), length))?;
            warn_when_others_can_read(&path);
            Ok(Keypair::from_seed(seed))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => make(data_dir, &path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// Makes a key and stores it durably before it is used. The key is written to a temporary file, synced and renamed, so
/// that after a power failure the file is complete or absent.
fn make(data_dir: &Path, path: &Path) -> io::Result<Keypair> {
    let mut seed = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut seed).map_err(io::Error::other)?;
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
    file.write_all(&seed)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(data_dir)?.sync_all()?;
    Ok(Keypair::from_seed(seed))
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
    fn a_broken_key_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "short").unwrap();
        let error = load_or_make(folder.path()).unwrap_err().to_string();
        assert!(error.contains("identity.key") && error.contains("5 bytes"), "{error}");
        assert_eq!(fs::read(folder.path().join(NAME)).unwrap(), b"short");
    }
}
