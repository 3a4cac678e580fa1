//! Identities of robots: one SD card in two robots, and a host that is renamed while its daemon runs.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::daemon::Robot;
use lab::{Error, Lab, Result, or_skip, programs, run, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);

/// Returns the data in all buckets that match a pattern, as a robot knows it.
fn data(robot: &Robot, pattern: &str) -> Option<Vec<String>> {
    let items = robot.cli(&["query", pattern, "--json"]).ok()?["items"].as_array()?.clone();
    let is_there = |item: &&Value| item["is_in_bucket"] == true;
    items.iter().filter(is_there).map(|item| Some(item["data"].as_str()?.to_owned())).collect()
}

/// Waits until a robot reports the fault in the answer to `channels`; returns its message.
fn wait_for_fault(robot: &Robot, code: &str) -> Result<String> {
    wait_until(SOON, code, || {
        let told = robot.cli(&["channels", "--json"]).ok()?["troubles"].clone();
        let fault = told.as_array()?.iter().find(|trouble| trouble["code"] == code)?.clone();
        Some(fault["message"].as_str()?.to_owned())
    })
}

#[test]
fn one_card_in_two_robots_is_reported_and_neither_withdraws_records_of_the_other() -> Result {
    let Some(lab) = or_skip("copied card", Lab::new("card")) else { return Ok(()) };
    let other = Robot::start(&lab, "other")?;
    let mut original = Robot::start(&lab, "original")?;
    original.terminate()?;
    let mut copy = Robot::new(lab.host("copy")?, "")?;
    let mut copying = Command::new("cp");
    copying.arg("-a").arg(original.data_folder().join(".")).arg(copy.data_folder());
    run(copying, SOON)?.success("copying the card")?;
    original.restart()?;
    copy.restart()?;
    let addresses = [&original, &copy].map(|robot| robot.host().address().to_string());
    for (robot, elsewhere) in [(&mut original, &addresses[1]), (&mut copy, &addresses[0])] {
        let message = wait_for_fault(robot, "identity.copied")?;
        println!("{}: {message}", robot.host().name());
        assert!(message.contains("identity renew"), "{message}");
        let is_said = |line: &str| line.contains("uses the same identity as this host");
        robot.running()?.wait_for_line(is_said, SOON)?;
        wait_until(SOON, "the other robot's address in the message", || {
            wait_for_fault(robot, "identity.copied").ok()?.contains(elsewhere).then_some(())
        })?;
    }
    wait_until(SOON, "both robots' addresses known", || {
        let known = data(&other, "/pri/*/addresses")?;
        let has = |address: &String| known.iter().any(|known| known.contains(&format!("/{address}/")));
        addresses.iter().all(has).then_some(())
    })?;
    Ok(())
}

fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

/// Starts a robot on a host that is called `name`. Its configuration contains no host name.
fn on_a_host_called(name: &str, lab: &Lab) -> Result<Robot> {
    let robot = Robot::new(lab.host("robot")?, "")?;
    let (folder, daemon) = (robot.host().folder().to_owned(), programs()?.daemon);
    write(&folder.join("dt-swarm.toml"), "")?;
    let script = folder.join("daemon.sh");
    let inner = format!("hostname {name} && exec {} \"$@\"", daemon.display());
    write(&script, &format!("#!/bin/sh\nexec unshare --uts sh -c '{inner}' sh \"$@\"\n"))?;
    let mut chmod = Command::new("chmod");
    chmod.arg("755").arg(&script);
    run(chmod, SOON)?.success("chmod")?;
    let mut robot = robot.with_daemon(script);
    robot.restart()?;
    Ok(robot)
}

/// Waits until the only host name that a robot publishes is this one.
fn wait_for_name(robot: &Robot, name: &str) -> Result {
    wait_until(SOON, name, || (data(robot, "/pri/*/info/hostname")? == [name]).then_some(()))
}

#[test]
fn a_renamed_host_is_known_by_its_new_name() -> Result {
    let Some(lab) = or_skip("host name", Lab::new("name")) else { return Ok(()) };
    let mut robot = on_a_host_called("before", &lab)?;
    wait_for_name(&robot, "before")?;
    let mut rename = Command::new("nsenter");
    let pid = robot.running()?.pid().to_string();
    rename.args(["--target", &pid, "--uts", "hostname", "after"]);
    run(rename, SOON)?.success("renaming the host")?;
    let begun = Instant::now();
    wait_for_name(&robot, "after")?;
    println!("followed after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}
