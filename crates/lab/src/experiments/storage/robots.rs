//! Reports of robots about files, and the files that they hold.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::noise::is_noise;
use crate::daemon::Robot;
use crate::{Error, Result, wait_until};

/// Returns the names of the hosts that hold the file with this name or CID, according to `robot`'s report.
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

/// Waits until these hosts hold the file, according to `robot`'s report.
pub(super) fn wait_for_holders(robot: &Robot, name: &str, wanted: &[&str], within: Duration) -> Result {
    wait_until(within, &format!("{name} held by {wanted:?}"), || {
        let held = holders(robot, name);
        wanted.iter().all(|host| held.iter().any(|holder| holder == host)).then_some(())
    })
}

/// Returns the CID of the first file with this name in the report.
pub(super) fn cid_of(robot: &Robot, name: &str) -> Result<String> {
    let report = robot.cli(&["report", "--json"])?;
    let file = report["files"].as_array().into_iter().flatten().find(|file| file["name"] == name);
    let cid = file.and_then(|file| file["cid"].as_str()).map(str::to_owned);
    cid.ok_or_else(|| Error::answer(format!("the CID of {name}"), report.to_string()))
}

pub(super) fn storage_of(robot: &Robot) -> Result<Value> {
    robot.cli(&["storage", "--json"])
}

/// Fetches the file from `robot` alone with the CLI, and returns whether its content is right.
pub(super) fn has_it_right(robot: &Robot, name: &str, seed: u64, bytes: u64, folder: &Path) -> Result<bool> {
    let copy = copy_of(robot, name, folder)?;
    let is_right = is_noise(&copy, seed, bytes)?;
    let _ = std::fs::remove_file(copy);
    Ok(is_right)
}

/// Fetches the file from `robot`, and returns whether its content equals that of the file `original`.
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
