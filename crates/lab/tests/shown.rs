//! Robots that change or are wrong in some way, each shown rightly by `online`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::daemon::Robot;
use lab::{Error, FakeClock, Lab, Result, or_skip, programs, run, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);
/// Maximum time until a new name is shown.
const CHANGED: Duration = Duration::from_secs(60);
const TOOL: Duration = Duration::from_secs(10);
/// Returns the robots that a robot shows as present.
fn online(robot: &Robot) -> Option<Vec<Value>> {
    robot.cli(&["online", "--json"]).ok()?["robots"].as_array().cloned()
}

/// Returns the only present robot with this name.
fn only(robot: &Robot, name: &str) -> Option<Value> {
    let mut all = online(robot)?.into_iter().filter(|robot| robot["hostname"] == name);
    let first = all.next()?;
    all.next().is_none().then_some(first)
}

fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

/// Starts a robot on a host whose system calls it `name`, without a name in its configuration.
fn start_on_host_called(lab: &Lab, name: &str) -> Result<Robot> {
    let robot = Robot::new(lab.host("renamed")?, "")?;
    let (folder, daemon) = (robot.host().folder().to_owned(), programs()?.daemon);
    write(&folder.join("dt-swarm.toml"), "")?;
    let script = folder.join("daemon.sh");
    let inner = format!("hostname {name} && exec {} \"$@\"", daemon.display());
    write(&script, &format!("#!/bin/sh\nexec unshare --uts sh -c '{inner}' sh \"$@\"\n"))?;
    let mut chmod = Command::new("chmod");
    chmod.arg("755").arg(&script);
    run(chmod, TOOL)?.success("chmod")?;
    let mut robot = robot.with_daemon(script);
    robot.restart()?;
    Ok(robot)
}

#[test]
fn a_robot_that_is_renamed_is_shown_by_its_new_name_only() -> Result {
    let Some(lab) = or_skip("renamed robot", Lab::new("rename")) else { return Ok(()) };
    let asker = Robot::start(&lab, "asker")?;
    let mut robot = start_on_host_called(&lab, "before")?;
    let before = wait_until(SOON, "the first name", || only(&asker, "before"))?;
    let mut rename = Command::new("nsenter");
    let pid = robot.running()?.pid().to_string();
    rename.args(["--target", &pid, "--uts", "hostname", "after"]);
    run(rename, TOOL)?.success("renaming the host")?;
    let begun = Instant::now();
    let after = wait_until(CHANGED, "the new name", || {
        let all = online(&asker)?;
        let is_gone = all.iter().all(|robot| robot["hostname"] != "before");
        all.into_iter().find(|robot| is_gone && robot["hostname"] == "after")
    })?;
    println!("shown by its new name after {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!(after["peer"], before["peer"], "it is the same robot");
    assert_eq!(after["state"], "here");
    Ok(())
}

#[test]
fn a_robot_whose_clock_is_in_1970_is_shown_like_any_other() -> Result {
    let Some(clock) = or_skip("clock in 1970", FakeClock::unset()) else { return Ok(()) };
    let Some(lab) = or_skip("clock in 1970", Lab::new("1970")) else { return Ok(()) };
    let asker = Robot::start(&lab, "asker")?;
    let mut robot = Robot::new(lab.host("early")?, "")?.with_clock(Some(clock));
    robot.restart()?;
    let shown = wait_until(SOON, "the robot with a wrong clock", || {
        only(&asker, "early").filter(|robot| robot["state"] == "here")
    })?;
    assert!(shown["age_seconds"].as_u64().is_some_and(|age| age < 120), "not since 1970: {shown:#}");
    let back = wait_until(SOON, "the asker as the other robot sees it", || {
        only(&robot, "asker").filter(|robot| robot["state"] == "here")
    })?;
    assert!(back["age_seconds"].as_u64().is_some_and(|age| age < 120), "{back:#}");
    Ok(())
}

/// Returns the keys of the profile that a robot states about itself.
fn stated_profile(robot: &Robot) -> Option<Vec<String>> {
    let items = robot.cli(&["query", "/pri/*/info/robot", "--json"]).ok()?["items"].as_array()?.clone();
    let data = items.iter().find(|item| item["is_in_bucket"] == true)?["data"].as_str()?.to_owned();
    let profile: Value = serde_json::from_str(&data).ok()?;
    Some(profile.as_object()?.keys().cloned().collect())
}

#[test]
fn the_device_of_a_robot_is_stated_only_to_its_own_swarm() -> Result {
    let Some(lab) = or_skip("privacy", Lab::new("privacy")) else { return Ok(()) };
    let robot = Robot::start(&lab, "robot")?;
    let open = wait_until(SOON, "a profile for strangers", || stated_profile(&robot))?;
    assert_eq!(open, ["boot", "host"], "only tags: this host has no files of a robot");
    let file = robot.home().join("class.toml").display().to_string();
    robot.cli_text(&["swarm", "init", &file, "--name", "class"])?;
    robot.cli_text(&["swarm", "join", &file])?;
    wait_until(SOON, "a profile for the swarm", || {
        stated_profile(&robot).filter(|keys| *keys == ["boot", "device"]).map(drop)
    })
}
