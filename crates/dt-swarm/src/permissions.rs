//! Keeps other users of this host out of the daemon's own files, also out of those that an earlier version left open: the
//! records and blocks of a swarm with a key are for its members alone.

use crate::config::Config;
use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Permissions of a private folder and of a private file: their owner's alone.
const OWNER: u32 = 0o700;
/// Permission to pass through a folder without listing it. The data folder keeps it when the shared folder lies in it,
/// where programs of other users may write.
const PASS: u32 = 0o011;
/// Permissions of everybody but the owner.
const OTHERS: u32 = 0o077;
/// Permission of everybody to write. A folder that has it, such as `/tmp`, is not the daemon's alone and stays as it is.
const ANYBODY_WRITES: u32 = 0o002;
/// Beginnings of the names of private files: with what was set aside, locks and what is written aside.
const PRIVATE_FILES: [&str; 4] = ["identity.", "records.redb", "pins.redb", "routes"];

/// What became of the permissions.
#[derive(Debug, Default)]
struct Tightened {
    /// Files and folders that others could use before.
    done: Vec<PathBuf>,
    /// Those that others can still use, and why.
    refused: Vec<(PathBuf, String)>,
}

/// Takes the permissions of other users from the data folder, the block store, and the private files in both, and from a
/// swarm file with a key. Says in the log what it changed, and what it could not change.
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
    /// Closes a folder and its private files. Of others' permissions `kept` stay.
    fn folder(&mut self, folder: &Path, kept: u32) {
        let metadata = fs::metadata(folder);
        match &metadata {
            Ok(metadata) if metadata.permissions().mode() & ANYBODY_WRITES != 0 => {
                self.refused.push((folder.to_owned(), "everybody may write there".to_owned()));
            }
            _ => self.note(folder, close(folder, metadata, kept)),
        }
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            if PRIVATE_FILES.iter().any(|begin| name.as_encoded_bytes().starts_with(begin.as_bytes())) {
                // A link leads to what somebody else manages.
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
                "other users of this host could look at these files and folders; from now on this user alone can"
            );
        }
        for (path, reason) in &self.refused {
            let path = path.display();
            tracing::warn!(%path, reason, "other users of this host can look there; put it elsewhere, or `chmod go-rwx` it");
        }
    }
}

fn plain_file(metadata: Metadata) -> io::Result<Metadata> {
    if metadata.is_file() { Ok(metadata) } else { Err(io::ErrorKind::NotFound.into()) }
}

/// Takes the permissions of others, except `kept`. Returns whether there were any.
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
        let environment = Environment { places: control::Places::default(), hostname: String::new() };
        let arguments = Arguments::parse_from(flags.into_iter().chain(["--socket", "sock"]));
        Config::load(&arguments, &environment, &[]).unwrap()
    }

    /// A data folder as the version before left it.
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
    fn what_an_earlier_version_left_open_is_closed() {
        let root = tempfile::tempdir().unwrap();
        let data = open_folder(root.path());
        let modes = |names: &[&str]| names.iter().map(|name| mode(&data.join(name))).collect::<Vec<_>>();
        tighten(&config(&data), None, false);
        assert_eq!(modes(&["", "ipfs"]), [0o700, 0o700]);
        assert_eq!(modes(&["records.redb", "records.redb.broken-1", "routes", "ipfs/pins.redb"]), [0o600; 4]);
        assert_eq!(modes(&["swarm.toml", "notes"]), [0o644; 2], "these are not the daemon's secrets");
        tighten(&config(&data), None, true);
        assert_eq!(modes(&["swarm.toml"]), [0o600], "the key of the swarm is");
    }

    #[test]
    fn others_reach_a_shared_folder_in_the_data_folder_and_nothing_else_there() {
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
    fn what_belongs_to_others_too_stays_as_it_is() {
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
