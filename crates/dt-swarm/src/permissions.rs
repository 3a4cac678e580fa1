//! Removes the permissions of other users of this host from the daemon's own files, because only members may read the
//! records and blocks of a swarm with a key. Earlier versions of the daemon left some of these files readable.

use crate::config::Config;
use std::fs::{self, DirBuilder, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Permission bits of the owner. A private file or folder has no other permissions.
const OWNER: u32 = 0o700;
/// Permission bits with which other users may enter a folder but not list it. The data folder keeps them if it contains
/// the shared folder, in which programs of other users may write.
const PASS: u32 = 0o011;
/// Permission bits of all users except the owner.
const OTHERS: u32 = 0o077;
/// Permission bit with which all users may write. A folder with this bit, such as `/tmp`, is shared with other programs
/// and is left unchanged.
const ANYBODY_WRITES: u32 = 0o002;
/// Prefixes of the names of private files. They also match damaged files that were set aside, locks and temporary files.
const PRIVATE_FILES: [&str; 5] = ["identity.", "records.redb", "pins.redb", "routes", "diagnostics."];

/// The changes of permissions that were made, and those that failed.
#[derive(Debug, Default)]
struct Tightened {
    /// Files and folders that other users could access before.
    done: Vec<PathBuf>,
    /// Files and folders that other users can still access, with the reason.
    refused: Vec<(PathBuf, String)>,
}

/// Creates the data folder, if it is missing, without permissions for other users.
///
/// # Errors
/// Returns an error if the folder cannot be created.
pub(crate) fn create_data_folder(folder: &Path, shared_folder: Option<&Path>) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().mode(OWNER).create(folder)?;
    let is_passed = shared_folder.is_some_and(|shared| is_inside(shared, folder));
    if is_passed { fs::set_permissions(folder, Permissions::from_mode(OWNER | PASS)) } else { Ok(()) }
}

/// Removes the permissions of other users from the data folder, the block store, the private files in both, and from a
/// swarm file with a key. Logs the changes, and the files and folders that it could not change.
pub(crate) fn tighten(config: &Config, shared_folder: Option<&Path>, has_key: bool) {
    let mut tightened = Tightened::default();
    let is_passed = shared_folder.is_some_and(|shared| is_inside(shared, &config.data_dir));
    tightened.folder(&config.data_dir, if is_passed { PASS } else { 0 });
    tightened.folder(&config.ipfs_dir, 0);
    if has_key {
        tightened.note(&config.swarm_file, close(&config.swarm_file, fs::metadata(&config.swarm_file), 0));
    }
    tightened.log();
}

fn is_inside(shared: &Path, data_dir: &Path) -> bool {
    let real = |path: &Path| path.canonicalize().or_else(|_| std::path::absolute(path));
    match (real(shared), real(data_dir)) {
        (Ok(shared), Ok(data)) => shared.starts_with(data),
        _ => false,
    }
}

impl Tightened {
    /// Removes the permissions of other users from a folder and its private files. The folder keeps the bits in `kept`.
    fn folder(&mut self, folder: &Path, kept: u32) {
        let metadata = fs::metadata(folder);
        match &metadata {
            Ok(metadata) if metadata.permissions().mode() & ANYBODY_WRITES != 0 => {
                self.refused.push((folder.to_owned(), "all users may write there".to_owned()));
            }
            _ => self.note(folder, close(folder, metadata, kept)),
        }
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if PRIVATE_FILES.iter().any(|begin| name.as_encoded_bytes().starts_with(begin.as_bytes())) {
                // The target of a symbolic link is not changed, because it may not belong to the daemon.
                let metadata = entry.metadata().and_then(plain_file);
                self.note(&entry.path(), close(&entry.path(), metadata, 0));
            }
        }
    }

    fn note(&mut self, path: &Path, closed: io::Result<bool>) {
        match closed {
            Ok(true) => self.done.push(path.to_owned()),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => self.refused.push((path.to_owned(), error.to_string())),
        }
    }

    fn log(&self) {
        if !self.done.is_empty() {
            let paths: Vec<_> = self.done.iter().map(|path| path.display().to_string()).collect();
            tracing::warn!(
                ?paths,
                "other users of this host had access to these files and folders; now only this user has access"
            );
        }
        for (path, reason) in &self.refused {
            let path = path.display();
            tracing::warn!(%path, reason, "other users of this host can access this path; move it, or run `chmod go-rwx` on it");
        }
    }
}

fn plain_file(metadata: Metadata) -> io::Result<Metadata> {
    if metadata.is_file() { Ok(metadata) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Removes the permissions of other users, except the bits in `kept`. Returns whether any permission was removed.
fn close(path: &Path, metadata: io::Result<Metadata>, kept: u32) -> io::Result<bool> {
    let mode = metadata?.permissions().mode() & 0o7777;
    if mode & OTHERS & !kept == 0 {
        return Ok(false);
    }
    fs::set_permissions(path, Permissions::from_mode(mode & (OWNER | kept)))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Arguments;
    use clap::Parser as _;
    use service::Environment;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn config(data: &Path) -> Config {
        let data = data.display().to_string();
        let flags = ["dt-swarm", "--data-dir", &data, "--swarm", &format!("{data}/swarm.toml")];
        let environment = Environment::default();
        let arguments = Arguments::parse_from(flags.into_iter().chain(["--socket", "sock"]));
        Config::load(&arguments, &environment, &[]).unwrap()
    }

    /// Makes a data folder with the permissions that an earlier version left.
    fn open_folder(root: &Path) -> PathBuf {
        let data = root.join("data");
        fs::create_dir_all(data.join("ipfs/blocks")).unwrap();
        for name in
            ["records.redb", "records.redb.broken-1", "routes", "swarm.toml", "notes", "ipfs/pins.redb"]
        {
            fs::write(data.join(name), "").unwrap();
            set(&data.join(name), 0o644);
        }
        for folder in [&data, &data.join("ipfs")] {
            set(folder, 0o755);
        }
        data
    }

    #[test]
    fn files_that_an_earlier_version_left_readable_become_private() {
        let root = tempfile::tempdir().unwrap();
        let data = open_folder(root.path());
        let modes = |names: &[&str]| names.iter().map(|name| mode(&data.join(name))).collect::<Vec<_>>();
        tighten(&config(&data), None, false);
        assert_eq!(modes(&["", "ipfs"]), [0o700, 0o700]);
        assert_eq!(modes(&["records.redb", "records.redb.broken-1", "routes", "ipfs/pins.redb"]), [0o600; 4]);
        assert_eq!(modes(&["swarm.toml", "notes"]), [0o644; 2], "these files are not secret");
        tighten(&config(&data), None, true);
        assert_eq!(modes(&["swarm.toml"]), [0o600], "a swarm file with a key is secret");
    }

    #[test]
    fn a_new_data_folder_is_private_from_the_start_and_an_existing_one_stays() {
        let root = tempfile::tempdir().unwrap();
        let (data, other) = (root.path().join("share/data"), root.path().join("other"));
        create_data_folder(&data, Some(&root.path().join("logs"))).unwrap();
        assert_eq!(mode(&data), OWNER);
        create_data_folder(&other, Some(&other.join("logs"))).unwrap();
        assert_eq!(mode(&other), OWNER | PASS);
        set(&other, 0o755);
        create_data_folder(&other, None).unwrap();
        assert_eq!(mode(&other), 0o755);
    }

    #[test]
    fn other_users_reach_only_the_shared_folder_in_the_data_folder() {
        let root = tempfile::tempdir().unwrap();
        let data = open_folder(root.path());
        let shared = data.join("shared");
        fs::create_dir(&shared).unwrap();
        set(&shared, 0o777);
        tighten(&config(&data), Some(&shared), false);
        assert_eq!((mode(&data), mode(&shared)), (0o711, 0o777));
        assert_eq!((mode(&data.join("ipfs")), mode(&data.join("records.redb"))), (0o700, 0o600));
    }

    #[test]
    fn folders_that_all_users_may_write_and_targets_of_links_are_left_unchanged() {
        let root = tempfile::tempdir().unwrap();
        let data = open_folder(root.path());
        set(&data, 0o1777);
        let elsewhere = root.path().join("elsewhere");
        fs::write(&elsewhere, "").unwrap();
        set(&elsewhere, 0o644);
        std::os::unix::fs::symlink(&elsewhere, data.join("records.redb.old")).unwrap();
        tighten(&config(&data), None, false);
        assert_eq!((mode(&data), mode(&elsewhere), mode(&data.join("records.redb"))), (0o777, 0o644, 0o600));
    }
}
