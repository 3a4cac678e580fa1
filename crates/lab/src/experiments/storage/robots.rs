//! What robots tell of files, and what they have of them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::noise::is_noise;
use crate::daemon::Robot;
use crate::{Error, Result, wait_until};

/// The names of those that hold the file of this name or CID in `robot`'s report.
pub(super) fn holders(robot: &Robot, what: &str) -> Vec<String> {
    let report = robot.cli(&["report", "--json"]).unwrap_or_default();
    let files = report["files"].as_array().cloned().unwrap_or_default();
    let of = |file: &Value| {
        let all = file["holders"].as_array().cloned().unwrap_or_default();
        all.into_iter()
            .filter_map(|holder| holder["hostname"].as_str().map(str::to_owned))
            .collect::<Vec<_>>()
    };
    files.iter().filter(|file| file["name"] == what || file["cid"] == what).flat_map(of).collect()
}

/// Waits until these hold the file, by the report of `robot`.
pub(super) fn wait_for_holders(robot: &Robot, name: &str, wanted: &[&str], within: Duration) -> Result {
    wait_until(within, &format!("{name} held by {wanted:?}"), || {
        let held = holders(robot, name);
        wanted.iter().all(|host| held.iter().any(|holder| holder == host)).then_some(())
    })
}

/// The CID of the only file of this name.
pub(super) fn cid_of(robot: &Robot, name: &str) -> Result<String> {
    let report = robot.cli(&["report", "--json"])?;
    let file = report["files"].as_array().into_iter().flatten().find(|file| file["name"] == name);
    let cid = file.and_then(|file| file["cid"].as_str()).map(str::to_owned);
    cid.ok_or_else(|| Error::answer(format!("the CID of {name}"), report.to_string()))
}

pub(super) fn storage_of(robot: &Robot) -> Result<Value> {
    robot.cli(&["storage", "--json"])
}

/// What `robot` itself has of the file, fetched from it alone by the CLI, compared with what it should be.
pub(super) fn has_it_right(robot: &Robot, name: &str, seed: u64, bytes: u64, folder: &Path) -> Result<bool> {
    let copy = copy_of(robot, name, folder)?;
    let is_right = is_noise(&copy, seed, bytes)?;
    let _ = std::fs::remove_file(copy);
    Ok(is_right)
}

/// Returns whether what `robot` has of the file is the same as the file at this path.
pub(super) fn has_copy_of(robot: &Robot, name: &str, original: &Path, folder: &Path) -> Result<bool> {
    let copy = copy_of(robot, name, folder)?;
    let read = |path: &Path| std::fs::read(path).map_err(Error::io("reading a file to compare"));
    let is_same = read(&copy)? == read(original)?;
    let _ = std::fs::remove_file(copy);
    Ok(is_same)
}

fn copy_of(robot: &Robot, name: &str, folder: &Path) -> Result<PathBuf> {
    let copy = folder.join(format!("copy-of-{name}"));
    let path = copy.to_string_lossy().into_owned();
    let mut command = robot.cli_command(&["get", name, "-o", &path, "--force", "--timeout", "120"]);
    command.stdin(std::process::Stdio::null());
    let finished = robot.host().run(command, Duration::from_secs(600))?;
    finished.success(&format!("get {name}"))?;
    Ok(copy)
}
