//! Recordings of robots, written by the PyPI packages `rosbags` and `mcap`, and what their readers say of them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use super::installed::installed;
use crate::{Error, Result, Unavailable, process};

const SCRIPT: &str = include_str!("../../peers/recordings.py");
/// Time limit of the script. It needs about three seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Checks that the packages are installed.
///
/// # Errors
/// [`Unavailable`] when they are not.
pub fn recordings_available() -> Result<(), Unavailable> {
    python().map(drop)
}

fn python() -> Result<PathBuf, Unavailable> {
    installed("the PyPI packages rosbags and mcap", "recordings/version-0.11.9-1.6.0")?;
    installed("the PyPI packages rosbags and mcap", "recordings/bin/python")
}

/// Writes recordings into this folder. Returns for each file or folder in it what a description must have.
///
/// # Errors
/// When the packages are not installed, or the script fails.
pub fn write_recordings(folder: &Path) -> Result<Value> {
    let mut command = Command::new(python()?);
    command.args(["-c", SCRIPT]).arg(folder);
    let text = process::run(command, LIMIT)?.success("writing recordings")?;
    serde_json::from_str(&text).map_err(|problem| Error::answer(format!("recordings.py: {problem}"), text))
}
