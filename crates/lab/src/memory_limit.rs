//! A limit on the memory of a process, including the page cache of its files, as on a small robot.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Process, Result, Unavailable};

/// A control group of one process. Dropping it removes the group.
#[derive(Debug)]
pub struct MemoryLimit {
    group: PathBuf,
    peak: &'static str,
}

/// The folders in which control groups are, with the names of limit and peak, for versions 2 and 1.
const PLACES: [(&str, &str, &str); 3] = [
    ("/sys/fs/cgroup", "memory.max", "memory.peak"),
    ("/sys/fs/cgroup/unified", "memory.max", "memory.peak"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
];

impl MemoryLimit {
    /// Makes a new group. Its processes together may have this many bytes.
    ///
    /// # Errors
    /// When the machine has no control groups for memory, or this process may not use them.
    pub fn new(name: &str, bytes: u64) -> Result<Self> {
        for (place, limit, peak) in PLACES {
            let group = Path::new(place).join(format!("dts{}-{name}", std::process::id()));
            if fs::create_dir(&group).is_err() {
                continue;
            }
            let made = Self { group, peak };
            // Where no control groups are mounted, this is an ordinary folder, and writing would create a new file.
            let file = made.group.join(limit);
            if file.exists() && fs::write(file, bytes.to_string()).is_ok() {
                return Ok(made);
            }
        }
        Err(Unavailable::new("no control group here can limit memory; root and cgroups are needed").into())
    }

    /// Puts the process into the group; the limit applies to it at once.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn hold(&self, process: &Process) -> Result {
        let file = self.group.join("cgroup.procs");
        let moved = fs::write(&file, process.pid().to_string());
        moved.map_err(Error::io(format!("writing {}", file.display())))
    }

    /// Returns the maximum number of bytes that the processes have had, including the page cache.
    ///
    /// # Errors
    /// When the system does not report it.
    pub fn peak(&self) -> Result<u64> {
        let file = self.group.join(self.peak);
        let text = fs::read_to_string(&file).map_err(Error::io(format!("reading {}", file.display())))?;
        text.trim().parse().map_err(|_| Error::answer(file.display().to_string(), text))
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // Fails while a process is in the group. An empty group that remains costs nothing.
        let _ = fs::remove_dir(&self.group);
    }
}
