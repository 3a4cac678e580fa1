//! Shared files, as tests with robots look at them.
#![allow(dead_code, reason = "each test program uses its part")]

use lab::daemon::Robot;
use lab::{Error, Result, wait_until};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A lab run on a busy machine may take longer than the aim of ten seconds, which is printed.
pub(crate) const SOON: Duration = Duration::from_secs(60);

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

/// The content of a log: that of `DT_SWARM_SAMPLE`, or one of the same size as a short bag.
pub(crate) fn sample() -> Result<Vec<u8>> {
    match std::env::var_os("DT_SWARM_SAMPLE") {
        Some(path) => read(&PathBuf::from(path)),
        None => Ok((0..217_100_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()),
    }
}

/// The entry of `name` in a robot's report, once `holders` peers hold it.
pub(crate) fn safe(robot: &Robot, name: &str, holders: usize) -> Result<Option<Value>> {
    let report = robot.cli(&["report", "--json"])?;
    let files = report["files"].as_array().cloned().unwrap_or_default();
    let is_it = |file: &Value| {
        file["name"] == name
            && file["state"] == "safe"
            && file["holders"].as_array().is_some_and(|all| all.len() == holders)
    };
    Ok(files.into_iter().find(is_it))
}

/// Waits until `name` is safe with so many holders on all robots; their entries, in the same order.
pub(crate) fn wait_until_safe(robots: &[&Robot], name: &str, holders: usize) -> Result<Vec<Value>> {
    let all = || -> Option<Vec<Value>> {
        let found = robots.iter().map(|robot| safe(robot, name, holders).ok().flatten());
        found.collect()
    };
    wait_until(SOON, &format!("{name} safe with {holders} holders on all"), all)
}

/// What `robot` itself has of the file, fetched from it alone by the CLI.
pub(crate) fn copy(robot: &Robot, name: &str) -> Result<Vec<u8>> {
    let file = robot.host().folder().join("copy");
    let path = file.to_string_lossy().into_owned();
    robot.cli_text(&["get", name, "-o", &path, "--force"])?;
    read(&file)
}
