//! The files of this host, or of a folder that stands for a host in tests.

use crate::collect::{MAX_FILE_BYTES, MAX_NAMES, Root, Space};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The host whose root folder is at a path.
#[derive(Clone, Debug)]
pub struct HostRoot {
    folder: PathBuf,
}

impl HostRoot {
    /// Returns the host whose root folder is `folder`: `/` for this host.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path.trim_start_matches('/'))
    }
}

impl Root for HostRoot {
    fn read(&self, path: &str) -> Option<String> {
        read_text(&self.path(path))
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.take(MAX_NAMES).collect();
        names.sort();
        names
    }

    fn space(&self, path: &str) -> Option<Space> {
        let disk = rustix::fs::statvfs(self.path(path)).ok()?;
        let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
        Some(Space {
            id: disk.f_fsid,
            total: bytes(disk.f_blocks),
            unused: bytes(disk.f_bfree),
            available: bytes(disk.f_bavail),
        })
    }
}

/// Reads the start of a file. Returns `None` for everything else than a regular file, since reading a pipe could wait
/// without end.
fn read_text(path: &Path) -> Option<String> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(MAX_FILE_BYTES as u64).read_to_end(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::{Collector, Places};
    use crate::metrics::{FILESYSTEM_UTILIZATION, MEMORY_UTILIZATION, TEMPERATURE};

    #[test]
    fn only_the_start_of_a_regular_file_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let root = HostRoot::new(folder.path());
        fs::write(folder.path().join("long"), vec![b'x'; 2 * MAX_FILE_BYTES]).unwrap();
        fs::write(folder.path().join("binary"), [0xff]).unwrap();
        assert_eq!(root.read("/long").map(|text| text.len()), Some(MAX_FILE_BYTES));
        assert_eq!((root.read("/binary"), root.read("/"), root.read("/none")), (None, None, None));
        assert_eq!(root.names("/"), ["binary", "long"]);
        assert!(root.names("/none").is_empty());
    }

    #[test]
    fn the_space_of_this_host_is_known() {
        let space = HostRoot::new("/").space("/").unwrap();
        assert!(space.total > 0 && space.available <= space.unused && space.unused <= space.total);
        assert_eq!(HostRoot::new("/nowhere").space("/"), None);
    }

    #[test]
    fn a_folder_stands_for_a_host() {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in [
            ("proc/sys/kernel/random/boot_id", "0d3ad5b4-a5e4-4d9c-b7b9-2f6e6a6f7c11\n"),
            ("proc/uptime", "7.00 7.00\n"),
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("sys/class/thermal/thermal_zone0/temp", "95000\n"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let root = HostRoot::new(folder.path());
        let (stamp, readings) = Collector::default().collect(&root, None).unwrap();
        let temperatures: Vec<f64> = readings.of(&TEMPERATURE).map(|reading| reading.value).collect();
        assert_eq!((stamp.millis, temperatures), (7000, vec![95.0]));
    }

    #[test]
    fn this_host_is_measured() {
        let places = Places { filesystems: vec!["/".to_owned()], text_files: None };
        let (_, readings) = Collector::new(places).collect(&HostRoot::new("/"), None).unwrap();
        let share = |metric| readings.of(metric).next().map(|reading| reading.value);
        for metric in [&MEMORY_UTILIZATION, &FILESYSTEM_UTILIZATION] {
            assert!(share(metric).is_some_and(|share| (0.0..=1.0).contains(&share)));
        }
    }
}
