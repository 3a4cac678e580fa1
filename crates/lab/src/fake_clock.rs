//! Wall clocks that are wrong, for the daemons of robots: by libfaketime, which stands between a program and the C library.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Unavailable;

/// Folder below which Debian has the library, in a folder of the architecture.
const LIBRARIES: &str = "/usr/lib";
/// The library for programs with threads, below the folder of the architecture.
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// What the wall clock of a robot shows. Timers and the times of files stay right.
#[derive(Clone, Debug)]
pub struct FakeClock {
    library: PathBuf,
    /// The time as libfaketime reads it.
    shows: String,
}

impl FakeClock {
    /// A clock that is ahead of the machine's by this many seconds; less than 0 for behind.
    ///
    /// # Errors
    /// [`Unavailable`] when libfaketime is not installed.
    pub fn ahead(seconds: i64) -> Result<Self, Unavailable> {
        Self::showing(format!("{seconds:+}"))
    }

    /// A clock that shows the first minute of 1970 when the daemon starts.
    ///
    /// # Errors
    /// [`Unavailable`] when libfaketime is not installed.
    pub fn unset() -> Result<Self, Unavailable> {
        Self::showing("@1970-01-01 00:00:30".to_owned())
    }

    fn showing(shows: String) -> Result<Self, Unavailable> {
        Ok(Self { library: library()?, shows })
    }

    /// Gives this clock to a command.
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
