//! Whether this process may write a file where the client wants it.

use crate::protocol::Destination;
use rustix::fs::Access;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Returns whether the daemon writes the file itself: only for its own user, so that a user gets no files of another; only
/// into the folder that the client sees, since in a container another folder can have the same path; and only if it may
/// write there.
pub(crate) fn is_ours_to_write(destination: &Destination) -> bool {
    let Some(folder) = destination.path.parent().filter(|folder| folder.is_absolute()) else {
        return false;
    };
    let is_own = destination.user == rustix::process::geteuid().as_raw();
    is_own
        && is_the_folder(folder, destination.folder)
        && rustix::fs::access(folder, Access::WRITE_OK).is_ok()
}

fn is_the_folder(path: &Path, (device, number): (u64, u64)) -> bool {
    std::fs::metadata(path)
        .is_ok_and(|found| found.is_dir() && (found.dev(), found.ino()) == (device, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_folder_and_the_same_user_will_do() {
        let folder = tempfile::tempdir().unwrap();
        let metadata = std::fs::metadata(folder.path()).unwrap();
        let right = Destination {
            path: folder.path().join("file"),
            folder: (metadata.dev(), metadata.ino()),
            user: rustix::process::geteuid().as_raw(),
            replace: false,
        };
        assert!(is_ours_to_write(&right));
        assert!(!is_ours_to_write(&Destination { user: right.user + 1, ..right.clone() }));
        assert!(!is_ours_to_write(&Destination { folder: (right.folder.0, 1), ..right.clone() }));
        assert!(!is_ours_to_write(&Destination { path: "file".into(), ..right.clone() }));
        assert!(!is_ours_to_write(&Destination { path: "/".into(), ..right }));
    }
}
