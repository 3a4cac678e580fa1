//! Looks at the data folder, its disk, and the shared folder.

use crate::doctor::observed::{DataFolder, SharedFolder};
use service::Context;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

/// Number of bytes for which the store has to have room. A single block has up to 1 MiB.
const SOME_ROOM: u64 = 1024 * 1024;
/// Number of bytes of the test write: one block of most disks.
const TEST_BYTES: usize = 4096;
/// Name of the file of the test write.
const TEST_FILE: &str = "doctor.tmp";
/// Permission bits of other users for reading and changing. Programs of other users may pass through the data folder to
/// a shared folder inside.
const READ_WRITE: u32 = 0o066;
/// Permission bits of all users except the owner.
const OTHERS: u32 = 0o077;
/// Files in the data folder that only the daemon's user may read.
const PRIVATE_FILES: [&str; 2] = ["identity.key", "records.redb"];

/// Returns the work that looks at the data folder.
pub(super) fn data(context: &Context) -> impl FnOnce() -> DataFolder + Send + use<> {
    let path = context.folders.data.clone();
    let store = context.node.borrow().as_ref().map(|node| node.store().clone());
    move || DataFolder {
        path: path.display().to_string(),
        open_path: open_path(&path),
        free: rustix::fs::statvfs(&path).ok().map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)),
        reserve: store.as_ref().map(|store| store.min_free_bytes()),
        refusal: store.and_then(|store| store.has_room(SOME_ROOM).err()).map(|error| error.to_string()),
        write: Some(test_write(&path).map_err(|error| error.to_string())),
    }
}

/// Returns the work that looks at the shared folder.
pub(super) fn shared(context: &Context) -> impl FnOnce() -> Option<SharedFolder> + Send + use<> {
    let folders = context.folders.clone();
    move || {
        let path = folders.shared.as_ref()?;
        let error = fs::read_dir(path).err().map(|error| error.to_string());
        Some(SharedFolder { path: path.display().to_string(), error })
    }
}

/// Returns the data folder, or a private file in it, if other users of this host may read or change it.
fn open_path(folder: &Path) -> Option<String> {
    let has = |path: &Path, bits: u32| {
        fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & bits != 0)
    };
    let private = PRIVATE_FILES.map(|name| folder.join(name));
    let open = has(folder, READ_WRITE).then_some(folder);
    let open =
        open.or_else(|| private.iter().map(std::path::PathBuf::as_path).find(|path| has(path, OTHERS)));
    open.map(|path| path.display().to_string())
}

/// Writes a small file to the disk, and returns how long that took.
fn test_write(folder: &Path) -> io::Result<Duration> {
    let path = folder.join(TEST_FILE);
    let begun = Instant::now();
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(&[0; TEST_BYTES])?;
        file.sync_all()
    };
    let written = write();
    let taken = begun.elapsed();
    // The file is overwritten next time if it cannot be removed.
    let _ = fs::remove_file(&path);
    written.map(|()| taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_and_files_that_others_can_read_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        set(folder.path(), 0o711);
        assert_eq!(open_path(folder.path()), None);
        set(folder.path(), 0o755);
        assert_eq!(open_path(folder.path()), Some(folder.path().display().to_string()));
        set(folder.path(), 0o700);
        let key = folder.path().join("identity.key");
        fs::write(&key, "x").unwrap();
        set(&key, 0o600);
        assert_eq!(open_path(folder.path()), None);
        set(&key, 0o640);
        assert_eq!(open_path(folder.path()), Some(key.display().to_string()));
    }

    #[test]
    fn the_test_write_leaves_nothing_and_reports_a_missing_folder() {
        let folder = tempfile::tempdir().unwrap();
        assert!(test_write(folder.path()).is_ok());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(test_write(&folder.path().join("missing")).is_err());
    }
}
