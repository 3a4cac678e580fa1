//! Wrong wall clocks for the daemons of robots, made by libfaketime, which intercepts calls of the C library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Unavailable;

/// Folder below which Debian has the library, in a subfolder named after the architecture.
const LIBRARIES: &str = "/usr/lib";
/// Path of the library for programs with threads, below the subfolder of the architecture.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// A wrong wall clock for a robot. Timers and the times of files are not affected.
#[derive(Clone, Debug)]
pub struct FakeClock {
    library: PathBuf,
    /// The time, in the format of libfaketime.
    shows: String,
}

impl FakeClock {
    /// Makes a clock that is this many seconds ahead of the machine's; a negative number means behind.
    ///
    /// # Errors
    /// [`Unavailable`] when libfaketime is not installed.
    pub fn ahead(seconds: i64) -> Result<Self, Unavailable> {
        Self::showing(format!("{seconds:+}"))
    }

    /// Makes a clock that shows the first minute of 1970 when the daemon starts.
    ///
    /// # Errors
    /// [`Unavailable`] when libfaketime is not installed.
    pub fn unset() -> Result<Self, Unavailable> {
        Self::showing("@1970-01-01 00:00:30".to_owned())
    }

    fn showing(shows: String) -> Result<Self, Unavailable> {
        Ok(Self { library: library()?, shows })
    }

    /// Sets the environment of a command so that it sees this clock.
    pub(crate) fn give_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("FAKETIME", &self.shows).env("TZ", "UTC");
        for switch in ["FAKETIME_DONT_FAKE_MONOTONIC", "DONT_FAKE_MONOTONIC", "NO_FAKE_STAT"] {
            command.env(switch, "1");
        }
    }
}

fn library() -> Result<PathBuf, Unavailable> {
    let folders = fs::read_dir(Path::new(LIBRARIES)).into_iter().flatten().flatten();
    let mut found = folders.map(|folder| folder.path().join(LIBRARY)).filter(|path| path.exists());
    found.next().ok_or_else(|| {
        Unavailable::new(
            "libfaketime is not installed: install the Debian package faketime, as `./check` does",
        )
    })
}
