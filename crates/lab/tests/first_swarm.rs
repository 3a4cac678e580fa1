//! The main job, from end to end: a robot's log reaches the others.
//!
//! The file is made here; `DT_SWARM_SAMPLE=FILE` shares a real one instead.

use lab::daemon::Robot;
use lab::{Error, Lab, Result, or_skip, wait_until};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A lab run on a busy machine may take longer than the aim of ten seconds, which is printed.
const SOON: Duration = Duration::from_secs(60);

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

fn sample() -> Result<Vec<u8>> {
    match std::env::var_os("DT_SWARM_SAMPLE") {
        Some(path) => read(&PathBuf::from(path)),
        None => Ok((0..217_100_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect()),
    }
}

/// The entry of `name` in a robot's report, once `holders` peers hold it.
fn safe(robot: &Robot, name: &str, holders: usize) -> Result<Option<Value>> {
    let report = robot.cli(&["report", "--json"])?;
    let files = report["files"].as_array().cloned().unwrap_or_default();
    let is_it = |file: &Value| {
        file["name"] == name
            && file["state"] == "safe"
            && file["holders"].as_array().is_some_and(|all| all.len() == holders)
    };
    Ok(files.into_iter().find(is_it))
}

fn wait_until_safe(robots: &[&Robot], name: &str, holders: usize) -> Result<Vec<Value>> {
    let all = || -> Option<Vec<Value>> {
        let found = robots.iter().map(|robot| safe(robot, name, holders).ok().flatten());
        found.collect()
    };
    wait_until(SOON, &format!("{name} safe with {holders} holders on all"), all)
}

/// What `robot` itself has of the file, fetched from it alone by the CLI.
fn copy(robot: &Robot, name: &str) -> Result<Vec<u8>> {
    let file = robot.host().folder().join("copy");
    let path = file.to_string_lossy().into_owned();
    robot.cli_text(&["get", name, &path, "--force"])?;
    read(&file)
}

#[test]
fn a_log_reaches_three_robots_and_a_newcomer_after_its_owner_died() -> Result {
    let Some(lab) = or_skip("first swarm", Lab::new("first")) else {
        return Ok(());
    };
    let mut a = Robot::start(&lab, "a")?;
    let b = Robot::start(&lab, "b")?;
    let c = Robot::start(&lab, "c")?;
    let content = sample()?;
    let begun = Instant::now();
    a.share("example.bag", &content)?;
    let entries = wait_until_safe(&[&b, &c], "example.bag", 3)?;
    println!("safe on b and c, with three holders, after {:.1} s", begun.elapsed().as_secs_f64());
    let entry = &entries[1];
    assert_eq!(entry["size"], content.len());
    assert_eq!(entry["uploader"]["name"], "a");
    let mut holders: Vec<&str> = entry["holders"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|holder| holder["name"].as_str())
        .collect();
    holders.sort_unstable();
    assert_eq!(holders, ["a", "b", "c"]);
    assert!(copy(&b, "example.bag")? == content, "b's copy is the same, byte for byte");
    assert!(copy(&c, "example.bag")? == content, "c's copy is the same, byte for byte");

    a.kill9()?;
    let d = Robot::start(&lab, "d")?;
    wait_until_safe(&[&d], "example.bag", 4)?;
    assert!(copy(&d, "example.bag")? == content, "the newcomer's copy is the same, byte for byte");
    Ok(())
}
