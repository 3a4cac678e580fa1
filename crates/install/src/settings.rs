//! Settings of an installer.

use crate::archive::Limits;
use crate::machine::Running;
use crate::name::HOOKS;
use crate::package::PackageTools;
use std::path::PathBuf;
use std::time::Duration;

/// Name of the target that is dt-swarm itself, and of its program.
pub const PROGRAM_NAME: &str = "dt-swarm";

/// Settings of an installer. [`Settings::in_folder`] gives the defaults.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folder of all targets. A target has a folder in it with its journal, its versions and the link `current`.
    pub folder: PathBuf,
    /// Folder with executables that run before a switch.
    pub hooks_before: PathBuf,
    /// Folder with executables that run after a switch, and after a roll-back.
    pub hooks_after: PathBuf,
    /// Time after which a hook is killed.
    pub hook_limit: Duration,
    /// Executable that checks the health after a switch, besides the caller's own check.
    pub check: Option<PathBuf>,
    /// Time after which this executable is killed.
    pub check_limit: Duration,
    /// Time for which the health must be good without interruption.
    pub stable_for: Duration,
    /// The same for dt-swarm itself. It is longer, because nobody could help a robot whose daemon fails later.
    pub program_stable_for: Duration,
    /// Time within which the health must become good.
    pub check_within: Duration,
    /// Limits on archives.
    pub limits: Limits,
    /// The programs for Debian packages.
    pub packages: PackageTools,
    /// The running version of dt-swarm, or nothing if it was not started by the starter. See [`crate::starter`].
    pub running: Option<Running>,
}

impl Settings {
    /// Returns the default settings for a folder.
    pub fn in_folder(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self {
            hooks_before: folder.join(HOOKS).join("before"),
            hooks_after: folder.join(HOOKS).join("after"),
            hook_limit: Duration::from_secs(300),
            check: None,
            check_limit: Duration::from_secs(60),
            stable_for: Duration::from_secs(60),
            program_stable_for: Duration::from_secs(300),
            check_within: Duration::from_secs(900),
            limits: Limits::default(),
            packages: PackageTools::default(),
            running: None,
            folder,
        }
    }
}
