//! Small files that a power cut leaves whole: as they were, or as they were to be.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Gives `path` this content at once: written aside, synced, renamed, and the folder synced. `mode` is that of a new
/// file (`0o600`: its owner's alone). Of several at a time the caller takes care.
///
/// # Errors
/// When the disk refuses; the old content, if any, is there then.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let aside = aside(path);
    // One left over from a crash could have another mode.
    match fs::remove_file(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    write_new(&aside, content, mode)?;
    fs::rename(&aside, path)?;
    sync_folder(path)
}

/// Makes a file with this content where none is.
///
/// # Errors
/// When there is one already (`AlreadyExists`), or the disk refuses.
pub fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    write_new(path, content, mode)?;
    sync_folder(path)
}

/// Removes a file for good; one that is not there is no error.
///
/// # Errors
/// When the disk refuses.
pub fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_folder(path),
    }
}

fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".new");
    name.into()
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a file would be taken for one; the error that matters is the first.
        let _ = fs::remove_file(path);
    }
    written
}

/// The folder in which `path` is.
pub(crate) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn replaces_the_whole_and_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "the old one, which is longer").unwrap();
        // What a crash left, readable for all.
        fs::write(aside(&path), "half").unwrap();
        replace(&path, b"new", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o600);
        assert!(!aside(&path).exists());
    }

    #[test]
    fn leaves_the_old_one_when_it_cannot_write_the_new() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "old").unwrap();
        fs::create_dir(aside(&path)).unwrap();
        assert!(replace(&path, b"new", 0o600).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }

    #[test]
    fn creates_and_never_overwrites() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        create(&path, b"first", 0o600).unwrap();
        assert_eq!(create(&path, b"second", 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&path).unwrap(), mode(&path)), (b"first".to_vec(), 0o600));
        remove(&path).unwrap();
        remove(&path).unwrap();
        assert!(!path.exists());
    }
}
