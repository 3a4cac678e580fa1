//! Finds the mounts that affect a path. A disk that is mounted over a folder replaces it, and inotify does not report
//! this.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// Path of the list of mounts of this process. Reading it is cheap, and `poll` reports when it changed.
pub(super) const MOUNTS: &str = "/proc/self/mountinfo";
/// Index of the field with the mount point in a line of the list (proc_pid_mountinfo(5)).
const MOUNT_POINT: usize = 4;

/// Returns the lines of the list of mounts whose mount points are at, above or below one of these folders.
pub(super) fn around(list: &[u8], folders: &[PathBuf]) -> Vec<Vec<u8>> {
    let folders: Vec<Vec<u8>> = folders.iter().map(|folder| escape(folder)).collect();
    let is_near = |line: &&[u8]| {
        let Some(point) = line.split(|byte| *byte == b' ').nth(MOUNT_POINT) else { return false };
        let point = Path::new(OsStr::from_bytes(point));
        let mut folders = folders.iter().map(|folder| Path::new(OsStr::from_bytes(folder)));
        folders.any(|folder| folder.starts_with(point) || point.starts_with(folder))
    };
    list.split(|byte| *byte == b'\n').filter(is_near).map(<[u8]>::to_vec).collect()
}

/// Escapes a path as in the list: white space and backslashes become a backslash and three octal digits.
fn escape(path: &Path) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b' ' | b'\t' | b'\n' | b'\\' => escaped.extend(format!("\\{byte:03o}").bytes()),
            byte => escaped.push(*byte),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[u8] = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw
30 22 0:25 / /home/duckie/my\\040logs rw - tmpfs stick rw
31 22 0:26 / /home/duckie/my\\040logs/run\\0401 rw - tmpfs stick rw
32 22 0:27 / /home/duckie/my rw - tmpfs other rw
33 22 0:28 / /var/lib/docker/overlay2/7 rw - overlay overlay rw
";

    #[test]
    fn only_mounts_above_and_below_the_folder_matter() {
        let numbers = |folder: &str| -> Vec<String> {
            let lines = around(LIST, &[folder.into()]);
            lines.iter().map(|line| String::from_utf8_lossy(&line[..2]).into_owned()).collect()
        };
        assert_eq!(numbers("/home/duckie/my logs"), ["22", "30", "31"]);
        assert_eq!(numbers("/home/duckie"), ["22", "30", "31", "32"]);
        assert_eq!(numbers("/srv"), ["22"]);
    }
}
