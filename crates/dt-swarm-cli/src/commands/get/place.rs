//! Where files are to be. It is decided, checked and prepared before anything is fetched.

use crate::error::CliError;
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Beginning of the names of temporary files and folders. Hidden files are not shared.
pub(super) const TEMPORARY: &str = ".dt-swarm-get-";

/// Where what is fetched goes.
#[derive(Debug)]
pub(super) enum Target {
    Files(Places),
    /// Standard output, one file after the other.
    Stdout,
    /// Only the daemon's store.
    Store,
}

/// A path for each file. Folders that were made for them go again, unless something is in them or they are kept.
#[derive(Debug, Default)]
pub(super) struct Places {
    paths: Vec<PathBuf>,
    made: Vec<PathBuf>,
}

impl Target {
    /// Returns where the file of this number goes; `None` for standard output and the store.
    pub(super) fn path(&self, number: usize) -> Option<&Path> {
        match self {
            Self::Files(places) => places.paths.get(number).map(PathBuf::as_path),
            Self::Stdout | Self::Store => None,
        }
    }
}

impl Places {
    /// Decides where files of these names go, and makes the folder if it is missing. `output` is the path that was named;
    /// without one it is this folder.
    ///
    /// # Errors
    /// When one of them could not be written, or is there already and `force` does not say to replace it.
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
        // The system knows best whether a file can be made there.
        let probe = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(&folder);
        probe.map_err(|source| CliError::Unwritable { path: folder, source })?;
        Ok(places)
    }

    /// Keeps the folders that were made, because something will be written there later.
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
            // One that is no longer empty stays.
            let _ = fs::remove_dir(folder);
        }
    }
}

/// Returns the folder and the path of each file. A path that was named is a folder when one is there, when it ends with a
/// slash, and when there are several files. In a folder the names are those that peers gave.
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

/// Returns the name under which a file is saved that `-o` does not name. A leading dot is replaced: a peer must not write
/// what configures a program of the person who fetches, such as `.bashrc`.
fn visible(name: &str) -> Cow<'_, str> {
    name.strip_prefix('.').map_or(Cow::Borrowed(name), |rest| Cow::Owned(format!("_{rest}")))
}

/// Checks what is at a path.
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

/// Makes a temporary file beside the place of a file. It is gone when it is dropped.
pub(super) fn temporary(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder(path))
}

/// Gives a whole file its place. What came there meanwhile is replaced only with `force`.
pub(super) fn publish(file: NamedTempFile, path: &Path, force: bool) -> io::Result<()> {
    file.as_file().sync_all()?;
    let kept = if force { file.persist(path) } else { file.persist_noclobber(path) };
    // A temporary file is its owner's alone.
    kept.map_err(|error| error.error)?.set_permissions(Permissions::from_mode(0o644))?;
    File::open(folder(path))?.sync_all()
}

/// Returns whether standard output was named.
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
    fn a_folder_takes_files_and_a_missing_one_is_made() {
        let room = tempfile::tempdir().unwrap();
        let at = |path: &str| room.path().join(path);
        assert_eq!(prepare(room.path(), &["a"]).unwrap(), [at("a")]);
        assert_eq!(prepare(&at("new"), &["a"]).unwrap(), [at("new")], "the name of one file");
        assert_eq!(prepare(&at("x/y/new"), &["a"]).unwrap(), [at("x/y/new")]);
        assert_eq!(prepare(&at("more/"), &["a"]).unwrap(), [at("more/a")]);
        assert_eq!(prepare(&at("both"), &["a", "b"]).unwrap(), [at("both/a"), at("both/b")]);
        assert!(at("x/y").is_dir() && at("more").is_dir() && at("both").is_dir());
        assert!(!at("new").exists());
    }

    #[test]
    fn a_peer_does_not_name_a_hidden_file() {
        let room = tempfile::tempdir().unwrap();
        let at = |path: &str| room.path().join(path);
        assert_eq!(prepare(room.path(), &[".bashrc"]).unwrap(), [at("_bashrc")]);
        assert_eq!(prepare(room.path(), &[".a", "b.c", ".."]).unwrap(), [at("_a"), at("b.c"), at("_.")]);
        assert_eq!(prepare(&at(".bashrc"), &[".profile"]).unwrap(), [at(".bashrc")], "a person named it");
    }

    #[test]
    fn folders_that_stay_empty_go_again() {
        let room = tempfile::tempdir().unwrap();
        let places = Places::prepare(Some(&room.path().join("a/b/")), &["c"], false).unwrap();
        assert!(room.path().join("a/b").is_dir());
        drop(places);
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_found_out_first() {
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
        assert_eq!(fs::read_dir(room.path()).unwrap().count(), 2, "nothing is left there");
    }
}
