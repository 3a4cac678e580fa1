//! A new identity for a robot: after an SD card was copied, and after it was moved to another machine.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::daemon::Robot;
use lab::{Error, Lab, Result, or_skip, run, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);
/// Time until a file that a robot shares is safe with others, on a busy machine.
const SAFE: Duration = Duration::from_secs(120);

/// Returns the finding of `doctor` with this code, if there is one. The exit code does not matter.
fn finding(robot: &Robot, code: &str) -> Option<Value> {
    let socket = robot.control_socket().display().to_string();
    let command = robot.cli_command(&["doctor", "--json", "--socket", &socket]);
    let text = robot.host().run(command, SOON).ok()?.stdout;
    let document: Value = serde_json::from_str(&text).ok()?;
    document["findings"].as_array()?.iter().find(|finding| finding["code"] == code).cloned()
}

/// Waits until `doctor` finds something with this code; returns its remedy.
fn wait_for_finding(robot: &Robot, code: &str) -> Result<String> {
    let what = format!("{code} at {}", robot.host().name());
    let found = wait_until(SOON, &what, || finding(robot, code))?;
    println!("{}: {found:#}", robot.host().name());
    Ok(found["remedy"].as_str().unwrap_or_default().to_owned())
}

/// Waits until `doctor` says that the identity is not in doubt.
fn wait_until_sound(robot: &Robot) -> Result {
    let what = format!("a sound identity of {}", robot.host().name());
    wait_until(SOON, &what, || (finding(robot, "identity")?["state"] == "works").then_some(()))
}

fn own_id(robot: &Robot) -> Result<String> {
    Ok(robot.cli(&["identity", "--json"])?["peer"].as_str().unwrap_or_default().to_owned())
}

/// Returns the peers that a robot lists as present, each as its name and its ID.
fn online(robot: &Robot) -> Option<Vec<(String, String)>> {
    let document = robot.cli(&["online", "--json"]).ok()?;
    let text = |robot: &Value, key: &str| robot[key].as_str().unwrap_or_default().to_owned();
    let robots = document["robots"].as_array()?;
    let mut all: Vec<_> = robots.iter().map(|robot| (text(robot, "hostname"), text(robot, "peer"))).collect();
    all.sort();
    Some(all)
}

/// Waits until a robot reports these files as safe.
fn wait_until_safe(robot: &Robot, names: &[&str]) -> Result {
    let mut last = Value::Null;
    let safe = wait_until(SAFE, "safe files", || {
        last = robot.cli(&["report", "--json"]).ok()?;
        let files = last["files"].as_array()?;
        let is_safe = |name: &&str| {
            files
                .iter()
                .any(|file| file["name"] == *name && matches!(file["state"].as_str(), Some("kept" | "safe")))
        };
        names.iter().all(is_safe).then_some(())
    });
    safe.map_err(|error| Error::Answer { what: error.to_string(), answer: format!("{last:#}") })
}

fn copy_data(from: &Robot, to: &Robot) -> Result {
    for (from, to) in [(from.data_folder(), to.data_folder()), (from.shared_folder(), to.shared_folder())] {
        let mut copying = Command::new("cp");
        copying.arg("-a").arg(from.join(".")).arg(to);
        run(copying, SOON)?.success("copying the card")?;
    }
    Ok(())
}

#[test]
fn one_card_in_two_robots_is_mended_by_one_command() -> Result {
    let Some(lab) = or_skip("renewed card", Lab::new("renew")) else { return Ok(()) };
    let other = Robot::start(&lab, "other")?;
    let mut original = Robot::start(&lab, "original")?;
    original.share("before.bag", &[1; 100_000])?;
    wait_until_safe(&other, &["before.bag"])?;
    original.terminate()?;
    let mut copy = Robot::new(lab.host("copy")?, "")?;
    copy_data(&original, &copy)?;
    original.restart()?;
    copy.restart()?;
    let before = own_id(&original)?;
    for robot in [&original, &copy] {
        let remedy = wait_for_finding(robot, "identity.copied")?;
        assert!(remedy.contains("identity renew"), "{remedy}");
        assert_eq!(own_id(robot)?, before);
        assert_eq!(robot_with(robot, &before)?["is_copied"], true, "`online` names it");
    }
    original.share("of-original.bag", &[2; 100_000])?;
    copy.share("of-copy.bag", &[3; 100_000])?;

    let begun = Instant::now();
    println!("{}", copy.cli_text(&["identity", "renew"])?);
    println!("renewed after {:.1} s", begun.elapsed().as_secs_f64());
    let after = own_id(&copy)?;
    assert_ne!(after, before);
    assert!(copy.data_folder().join(format!("identity.former-{before}.key")).exists());
    let names = ["copy", "original", "other"].map(str::to_owned);
    let ids = [after, before, own_id(&other)?];
    let expected: Vec<_> = names.into_iter().zip(ids).collect();
    for robot in [&original, &copy, &other] {
        let mut last = None;
        let listed = wait_until(SOON, "three robots with IDs of their own", || {
            last = online(robot);
            (last.as_ref()? == &expected).then_some(())
        });
        assert!(listed.is_ok(), "{}: {last:#?}", robot.host().name());
        wait_until_sound(robot)?;
    }
    println!("no fault remains after {:.1} s", begun.elapsed().as_secs_f64());
    wait_until_safe(&other, &["before.bag", "of-original.bag", "of-copy.bag"])?;
    println!("all files are safe after {:.1} s", begun.elapsed().as_secs_f64());
    copy.restart()?;
    wait_until_sound(&copy)
}

/// Returns the row of a peer in the table of a robot.
fn robot_with(robot: &Robot, peer: &str) -> Result<Value> {
    wait_until(SOON, peer, || {
        let document = robot.cli(&["online", "--json"]).ok()?;
        document["robots"].as_array()?.iter().find(|robot| robot["peer"] == peer).cloned()
    })
}

fn write(path: &Path, text: &str) -> Result {
    fs::write(path, text).map_err(|source| Error::Io { what: path.display().to_string(), source })
}

#[test]
fn a_card_in_another_machine_is_kept_or_renewed_as_the_owner_decides() -> Result {
    let Some(lab) = or_skip("moved card", Lab::new("moved")) else { return Ok(()) };
    let file = lab.folder().join("machine-id");
    write(&file, "0d3ad5b4a5e44d9cb7b92f6e6a6f7c11\n")?;
    let mut robot = Robot::start_on(lab.host("robot")?, &format!("machine_id_file = {file:?}\n"))?;
    let before = own_id(&robot)?;
    wait_until_sound(&robot)?;
    robot.terminate()?;
    write(&file, "11111111111111111111111111111111\n")?;
    robot.restart()?;
    robot.running()?.wait_for_line(|line| line.contains("used on another machine before"), SOON)?;
    let remedy = wait_for_finding(&robot, "identity.machine-changed")?;
    assert!(remedy.contains("identity renew") && remedy.contains("identity keep"), "{remedy}");
    assert_eq!(own_id(&robot)?, before, "nothing changes by itself");
    println!("{}", robot.cli_text(&["identity", "keep"])?);
    wait_until_sound(&robot)?;
    robot.terminate()?;
    robot.restart()?;
    wait_until_sound(&robot)?;
    robot.terminate()?;
    write(&file, "22222222222222222222222222222222\n")?;
    robot.restart()?;
    wait_for_finding(&robot, "identity.machine-changed")?;
    println!("{}", robot.cli_text(&["identity", "renew"])?);
    assert_ne!(own_id(&robot)?, before);
    wait_until_sound(&robot)?;
    robot.terminate()?;
    let refused = robot.cli_failure(&["identity", "renew"])?;
    assert!(refused.contains("Is dt-swarm running here? Start it"), "{refused}");
    Ok(())
}
