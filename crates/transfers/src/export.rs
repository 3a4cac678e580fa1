//! Decides whether the daemon may write a file to the destination of a client.

use crate::protocol::Destination;
use rustix::fs::Access;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Returns whether the daemon itself writes the file to its destination. All of these conditions must be met:
///
/// - The client runs as the user of the daemon, so that it gets no access to files of another user.
/// - The client and the daemon see the same folder. In a container, another folder can have the same path.
/// - The daemon has permission to write to the folder.
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
    fn only_the_same_folder_and_the_same_user_are_accepted() {
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
