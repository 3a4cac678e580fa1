//! The destinations of files. They are determined, checked and prepared before any file is fetched.

use crate::error::CliError;
use dcache::Time;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use tempfile::{NamedTempFile, TempDir};

/// Prefix of the names of temporary files. It makes them hidden files, which are not shared.
pub(super) const TEMPORARY: &str = ".dt-swarm-get-";

/// The place to which fetched files are written.
#[derive(Debug)]
pub(super) enum Target {
    Files(Places),
    /// Standard output, one file after the other.
    Stdout,
    /// Only the daemon's store.
    Store,
}

/// A path for each file. Folders that were created for the files are removed on drop if they are empty, unless
/// [`keep`](Self::keep) was called.
#[derive(Debug, Default)]
pub(super) struct Places {
    paths: Vec<PathBuf>,
    made: Vec<PathBuf>,
}

impl Target {
    /// Returns the path of the file with this index. Returns `None` for standard output and the store.
    pub(super) fn path(&self, number: usize) -> Option<&Path> {
        match self {
            Self::Files(places) => places.paths.get(number).map(PathBuf::as_path),
            Self::Stdout | Self::Store => None,
        }
    }
}

impl Places {
    /// Determines the paths of the files with these names, and creates the folder if it is missing. `output` is the
    /// destination from the command line; `None` is the current folder.
    ///
    /// # Errors
    /// When a file could not be written, or exists already without `force`, or when two files would have the same path.
    pub(super) fn prepare(output: Option<&Path>, names: &[&str], force: bool) -> Result<Self, CliError> {
        let (folder, paths) = arrange(output, names);
        let mut seen = BTreeSet::new();
        for path in &paths {
            check(path, force)?;
            if !seen.insert(path) {
                return Err(CliError::SamePlace(path.clone()));
            }
        }
        let mut places = Self { paths, made: Vec::new() };
        places.make(&folder)?;
        // Creating a file is the reliable test of whether the folder is writable.
        let probe = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&folder);
        probe.map_err(|source| CliError::Unwritable { path: folder, source })?;
        Ok(places)
    }

    /// Keeps the folders that were created, because files will be written there later.
    pub(super) fn keep(&mut self) {
        self.made.clear();
    }

    fn make(&mut self, folder: &Path) -> Result<(), CliError> {
        let is_missing = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
        let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
        for path in missing.into_iter().rev() {
            match fs::create_dir(path) {
                Ok(()) => self.made.push(path.to_owned()),
                Err(_) if path.is_dir() => {}
                Err(source) => return Err(CliError::Unwritable { path: path.to_owned(), source }),
            }
        }
        Ok(())
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        for folder in self.made.iter().rev() {
            // This fails for a folder that is not empty, which stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Returns the folder and the path of each file. `output` is a folder if a folder exists there, if it ends with a
/// slash, or if there are several files. In a folder, the files have the names that peers gave them.
fn arrange(output: Option<&Path>, names: &[&str]) -> (PathBuf, Vec<PathBuf>) {
    let named = output.unwrap_or_else(|| Path::new("."));
    let is_folder = names.len() > 1 || named.is_dir() || named.as_os_str().as_bytes().ends_with(b"/");
    if is_folder {
        return (named.to_owned(), names.iter().map(|name| named.join(visible(name).as_ref())).collect());
    }
    // The parent of a bare name is empty.
    let is_bare = named.parent().is_none_or(|parent| parent.as_os_str().is_empty());
    let path = if is_bare { Path::new(".").join(named) } else { named.to_owned() };
    (folder(&path).to_owned(), vec![path])
}

/// Returns the name under which a file is saved if `-o` does not name it. A leading dot is replaced, because a peer
/// must not be able to write a configuration file of the user, such as `.bashrc`.
fn visible(name: &str) -> Cow<'_, str> {
    name.strip_prefix('.').map_or(Cow::Borrowed(name), |rest| Cow::Owned(format!("_{rest}")))
}

/// Checks that a file can be written to this path.
///
/// # Errors
/// When the path is a folder, a device or another special file. Also when a file exists at the path and `force` is
/// false.
fn check(path: &Path, force: bool) -> Result<(), CliError> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(source) => Err(CliError::Unwritable { path: path.to_owned(), source }),
        Ok(found) if !found.is_file() && !found.is_symlink() => Err(CliError::NotAFile(path.to_owned())),
        Ok(_) if !force => Err(CliError::Exists(path.to_owned())),
        Ok(_) => Ok(()),
    }
}

/// Returns the folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("."))
}

/// Makes a temporary file in the folder of a file. It is deleted on drop.
pub(super) fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder(path))
}

/// Moves a complete file to its path, and syncs it. A file that appeared there meanwhile is replaced only with `force`.
pub(super) fn publish(file: NamedTempFile, path: &Path, force: bool) -> io::Result<()> {
    file.as_file().sync_all()?;
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    // Only the owner may read a temporary file. The fetched file is readable for all users.
    kept.map_err(|error| error.error)?.set_permissions(Permissions::from_mode(0o644))?;
    File::open(folder(path))?.sync_all()
}

/// Makes a temporary folder beside the destination of a folder. It is deleted on drop.
pub(super) fn temporary_folder(path: &Path) -> io::Result<TempDir> {
    tempfile::Builder::new().prefix(TEMPORARY).tempdir_in(folder(path))
}

/// Moves a complete folder to its path, and syncs it. Nothing that is there is replaced.
pub(super) fn publish_folder(temporary: TempDir, path: &Path) -> io::Result<()> {
    // Only the owner may read a temporary folder. The fetched folder is readable for all users, like a fetched file.
    fs::set_permissions(temporary.path(), Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(temporary.path())? {
        fs::set_permissions(entry?.path(), Permissions::from_mode(0o644))?;
    }
    File::open(temporary.path())?.sync_all()?;
    if fs::symlink_metadata(path).is_ok() {
        return Err(ErrorKind::AlreadyExists.into());
    }
    fs::rename(temporary.path(), path)?;
    // The folder is not at its temporary path any more, so there is nothing to delete.
    let _ = temporary.keep();
    File::open(folder(path))?.sync_all()
}

/// Sets the time of change of a file, or of all files in a folder.
pub(super) fn set_changed(path: &Path, changed: Time) -> io::Result<()> {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(changed.0)).ok_or(ErrorKind::InvalidInput)?;
    if !path.is_dir() {
        return File::open(path)?.set_modified(time);
    }
    for entry in fs::read_dir(path)? {
        File::open(entry?.path())?.set_modified(time)?;
    }
    Ok(())
}

/// Returns whether the destination is `-`, which is standard output.
pub(super) fn is_stdout(output: Option<&Path>) -> bool {
    output.is_some_and(|output| output.as_os_str() == OsStr::new("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(output: &Path, names: &[&str]) -> Result<Vec<PathBuf>, CliError> {
        Places::prepare(Some(output), names, false).map(|mut places| {
            places.keep();
            places.paths.clone()
        })
    }

    #[test]
    fn files_get_the_time_of_change_of_the_original() {
        let room = tempfile::tempdir().unwrap();
        let (file, folder) = (room.path().join("a.bag"), room.path().join("run"));
        fs::create_dir(&folder).unwrap();
        for path in [&file, &folder.join("metadata.yaml"), &folder.join("run_0.mcap")] {
            fs::write(path, "x").unwrap();
        }
        for path in [&file, &folder] {
            set_changed(path, Time(1_700_000_000)).unwrap();
        }
        let changed = |path: &Path| {
            let modified = fs::metadata(path).unwrap().modified().unwrap();
            modified.duration_since(UNIX_EPOCH).unwrap().as_secs()
        };
        assert_eq!((changed(&file), changed(&folder.join("run_0.mcap"))), (1_700_000_000, 1_700_000_000));
        assert!(set_changed(&file, Time(u64::MAX)).is_err());
    }

    #[test]
    fn files_go_into_a_folder_and_missing_folders_are_created() {
        let room = tempfile::tempdir().unwrap();
        let at = |path: &str| room.path().join(path);
        assert_eq!(prepare(room.path(), &["a"]).unwrap(), [at("a")]);
        assert_eq!(prepare(&at("new"), &["a"]).unwrap(), [at("new")], "the new name of one file");
        assert_eq!(prepare(&at("x/y/new"), &["a"]).unwrap(), [at("x/y/new")]);
        assert_eq!(prepare(&at("more/"), &["a"]).unwrap(), [at("more/a")]);
        assert_eq!(prepare(&at("both"), &["a", "b"]).unwrap(), [at("both/a"), at("both/b")]);
        assert!(at("x/y").is_dir() && at("more").is_dir() && at("both").is_dir());
        assert!(!at("new").exists());
    }

    #[test]
    fn a_peer_cannot_name_a_hidden_file() {
        let room = tempfile::tempdir().unwrap();
        let at = |path: &str| room.path().join(path);
        assert_eq!(prepare(room.path(), &[".bashrc"]).unwrap(), [at("_bashrc")]);
        assert_eq!(prepare(room.path(), &[".a", "b.c", ".."]).unwrap(), [at("_a"), at("b.c"), at("_.")]);
        assert_eq!(
            prepare(&at(".bashrc"), &[".profile"]).unwrap(),
            [at(".bashrc")],
            "the user named this file"
        );
    }

    #[test]
    fn created_folders_that_stay_empty_are_removed() {
        let room = tempfile::tempdir().unwrap();
        let places = Places::prepare(Some(&room.path().join("a/b/")), &["c"], false).unwrap();
        assert!(room.path().join("a/b").is_dir());
        drop(places);
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_destination_that_cannot_be_written_is_refused_before_fetching() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("file");
        fs::write(&file, "mine").unwrap();
        assert!(matches!(prepare(&file, &["a"]), Err(CliError::Exists(_))));
        assert!(matches!(prepare(&file.join("x"), &["a"]), Err(CliError::Unwritable { .. })));
        assert!(matches!(prepare(&file, &["a", "b"]), Err(CliError::Unwritable { .. })));
        assert!(matches!(prepare(room.path(), &["a", "a"]), Err(CliError::SamePlace(_))));
        let long = "x".repeat(256);
        assert!(matches!(prepare(room.path(), &[&long]), Err(CliError::Unwritable { .. })));
        assert!(matches!(prepare(Path::new("/proc/nothing/"), &["a"]), Err(CliError::Unwritable { .. })));
        let places = Places::prepare(Some(Path::new("/dev/null")), &["a"], true);
        assert!(matches!(places, Err(CliError::NotAFile(_))), "a device is not replaced");
        fs::create_dir(room.path().join("a")).unwrap();
        assert!(matches!(prepare(room.path(), &["a"]), Err(CliError::NotAFile(_))));
        assert!(Places::prepare(Some(&file), &["a"], true).is_ok());
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 2, "no temporary file is left");
    }
}
