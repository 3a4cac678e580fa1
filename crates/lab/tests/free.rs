//! `free` deletes files of a robot that are safe elsewhere, when a user asks for it and by a rule.

mod files;

use files::{read, wait_until_safe};
use lab::daemon::Robot;
use lab::{Lab, Result, or_skip, wait_until};
use serde_json::Value;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

/// Time limit until a robot may rely on the copies of others: two minutes, and some for a busy machine.
const LATER: Duration = Duration::from_secs(300);

/// Returns the paths of the files that could be deleted.
fn freeable(robot: &Robot) -> Result<Vec<String>> {
    let list = robot.cli(&["free", "--in-open-swarm", "--dry-run", "--json"])?;
    let paths = list["files"].as_array().into_iter().flatten().filter_map(|file| file["path"].as_str());
    Ok(paths.map(str::to_owned).collect())
}

#[test]
fn a_robot_deletes_a_file_that_another_robot_keeps() -> Result {
    let Some(lab) = or_skip("freeing files", Lab::new("free")) else { return Ok(()) };
    let robot = Robot::start_on(lab.host("robot")?, "[logs]\ncopies = 2\n")?;
    let other = Robot::start_on(lab.host("other")?, "[logs]\ncopies = 2\n")?;
    let content = vec![7; 300_000];
    let path = robot.share("drive.bag", &content)?;
    robot.share("pinned.bag", b"a person needs it")?;
    wait_until_safe(&[&robot, &other], "drive.bag", 2)?;
    let pinned = &wait_until_safe(&[&robot, &other], "pinned.bag", 2)?[0];
    robot.cli_text(&["pin", pinned["cid"].as_str().unwrap_or_default()])?;
    assert!(freeable(&robot)?.is_empty(), "the other robot may rely on the copies of this one");
    let listed = || freeable(&robot).ok().filter(|paths| !paths.is_empty());
    let paths = wait_until(LATER, "the file is safe elsewhere", listed)?;
    assert_eq!(paths, [path.to_string_lossy().into_owned()]);
    let untrusted = robot.cli(&["free", "--dry-run", "--json"])?;
    assert_eq!((&untrusted["total"], &untrusted["needs_trust"]), (&0.into(), &true.into()), "{untrusted}");
    println!("{}", robot.cli_text(&["free", "--in-open-swarm", "--dry-run"])?);
    let refused = robot.cli_failure(&["free", "--in-open-swarm"])?;
    assert!(refused.contains("--yes"), "{refused}");
    assert_eq!(robot.cli(&["free", "--in-open-swarm", "--older-than", "1d", "--yes", "--json"])?["total"], 0);
    assert_eq!(robot.cli(&["free", "--in-open-swarm", "--until-free", "1", "--yes", "--json"])?["total"], 0);
    assert!(path.exists());

    let freed = robot.cli(&["free", "--in-open-swarm", "--yes", "--json"])?;
    assert_eq!(
        (&freed["files"][0]["is_deleted"], &freed["freed_bytes"]),
        (&true.into(), &300_000.into()),
        "{freed}"
    );
    assert!(!path.exists());
    wait_until_safe(&[&robot, &other], "drive.bag", 1)?;
    sleep(Duration::from_secs(10));
    let entry = &wait_until_safe(&[&robot], "drive.bag", 1)?[0];
    assert_eq!(entry["holders"][0]["peer"], other.peer_id()?.as_str(), "it is not fetched back: {entry}");
    let report = robot.cli(&["report", "--json"])?;
    let dropped: Vec<&Value> = report["dropped_files"].as_array().into_iter().flatten().collect();
    assert_eq!(dropped.len(), 1, "{report}");
    assert_eq!(
        (&dropped[0]["name"], &dropped[0]["was_own"]),
        (&"drive.bag".into(), &true.into()),
        "{report}"
    );
    let to = robot.host().folder().join("again.bag");
    let text = to.to_string_lossy().into_owned();
    robot.cli_text(&["get", "drive.bag", "-o", &text])?;
    assert!(read(&to)? == content);
    Ok(())
}

#[test]
fn old_files_are_deleted_by_the_rule_and_the_last_copy_stays() -> Result {
    let Some(lab) = or_skip("freeing files by a rule", Lab::new("freeby")) else { return Ok(()) };
    let robot = Robot::start_on(
        lab.host("robot")?,
        "[logs]\ncopies = 1\nfree_after = \"10s\"\nfree_in_open_swarm = true\n",
    )?;
    let other = Robot::start_on(lab.host("other")?, "[logs]\ncopies = 2\nmax_file_mib = 1\n")?;
    let path = robot.share("drive.bag", b"a log")?;
    let large = robot.share("large.bag", &vec![7; 3 << 20])?;
    wait_until_safe(&[&robot, &other], "drive.bag", 2)?;
    let is_deleted = || (!Path::new(&path).exists()).then_some(());
    wait_until(LATER, "the file is deleted", is_deleted)?;
    wait_until_safe(&[&robot, &other], "drive.bag", 1)?;
    sleep(Duration::from_secs(70));
    assert!(large.exists(), "no other robot keeps it");
    Ok(())
}
