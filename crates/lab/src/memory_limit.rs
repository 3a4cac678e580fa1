//! A bound on the memory of a process, the system's copies of files included, as on a small robot.

use std::fs;
use std::path::{Path, PathBuf};

use crate::{Error, Process, Result, Unavailable};

/// A control group of one process. It is removed with this.
#[derive(Debug)]
pub struct MemoryLimit {
    group: PathBuf,
    peak: &'static str,
}

/// Where control groups are: the folder, and the names of limit and peak, of versions 2 and 1.
const PLACES: [(&str, &str, &str); 3] = [
    ("/sys/fs/cgroup", "memory.max", "memory.peak"),
    ("/sys/fs/cgroup/unified", "memory.max", "memory.peak"),
    ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
];

impl MemoryLimit {
    /// A new group, whose processes may have so many bytes together.
    ///
    /// # Errors
    /// When the machine has no such groups, or none that we may use.
    pub fn new(name: &str, bytes: u64) -> Result<Self> {
        for (place, limit, peak) in PLACES {
            let group = Path::new(place).join(format!("dts{}-{name}", std::process::id()));
            if fs::create_dir(&group).is_err() {
                continue;
            }
            let made = Self { group, peak };
            // Where no control groups are mounted this is a folder like any other, in which the file would be a new one.
            let file = made.group.join(limit);
            if file.exists() && fs::write(file, bytes.to_string()).is_ok() {
                return Ok(made);
            }
        }
        Err(Unavailable::new("no control group can limit memory here").into())
    }

    /// From now on the process is limited.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn hold(&self, process: &Process) -> Result {
        let file = self.group.join("cgroup.procs");
        let moved = fs::write(&file, process.pid().to_string());
        moved.map_err(Error::io(format!("writing {}", file.display())))
    }

    /// The most bytes that its processes ever had, the system's copies of files included.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn peak(&self) -> Result<u64> {
        let file = self.group.join(self.peak);
        let text = fs::read_to_string(&file).map_err(Error::io(format!("reading {}", file.display())))?;
        text.trim().parse().map_err(|_| Error::answer(file.display().to_string(), text))
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // Fails while a process is in it; an empty group costs nothing, and is found by its name.
        let _ = fs::remove_dir(&self.group);
    }
}
