//! The shared folder: replacements of the folder itself, and files in it that are not shared.

use lab::daemon::Robot;
use lab::{Error, Lab, Result, or_skip, run, wait_until};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Time limit on a busy machine. The aim is three seconds; the test prints the time. The rescan comes much later.
const SOON: Duration = Duration::from_secs(20);
const LIMIT: Duration = Duration::from_secs(10);
/// Disables the rescan, so that only change notifications make the daemon look at the folder.
const NO_RESCAN: &str = "[logs]\nrescan_seconds = 3600\n";

fn report(robot: &Robot) -> Result<Value> {
    robot.cli(&["report", "--json"])
}

fn names(robot: &Robot) -> Option<Vec<String>> {
    let report = report(robot).ok()?;
    let files = report["files"].as_array()?.iter();
    Some(files.filter_map(|file| file["name"].as_str().map(str::to_owned)).collect())
}

fn io(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.to_owned();
    |source| Error::Io { what, source }
}

fn write(path: &Path, content: &str) -> Result {
    fs::write(path, content).map_err(io(&format!("writing {}", path.display())))
}

/// Puts a file into `folder`, and waits until the robot shares it.
fn share_in(robot: &Robot, folder: &Path, name: &str) -> Result {
    let begun = Instant::now();
    write(&folder.join(name), name)?;
    let is_known = || names(robot)?.iter().any(|known| known == name).then_some(());
    wait_until(SOON, &format!("{name} is shared"), is_known)?;
    println!("{name}: shared after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Runs a command in the mount namespace of the daemon.
fn at_mounts_of(robot: &mut Robot, arguments: &[&str]) -> Result {
    let pid = robot.running()?.pid().to_string();
    let mut command = Command::new("nsenter");
    command.args(["--mount", "--target", &pid]).args(arguments);
    run(command, LIMIT)?.success(&format!("{arguments:?}")).map(drop)
}

/// Returns the path of the folder as the daemon sees it.
fn seen_by(robot: &mut Robot, folder: &Path) -> Result<PathBuf> {
    let root = PathBuf::from(format!("/proc/{}/root", robot.running()?.pid()));
    Ok(root.join(folder.strip_prefix("/").unwrap_or(folder)))
}

#[test]
fn files_are_shared_at_once_after_the_folder_was_replaced() -> Result {
    let Some(lab) = or_skip("folder", Lab::new("folder")) else {
        return Ok(());
    };
    let mut robot = Robot::start_on(lab.host("duckie")?, NO_RESCAN)?;
    let shared = robot.shared_folder();
    share_in(&robot, &shared, "first.bag")?;
    fs::rename(&shared, shared.with_extension("aside")).map_err(io("moving the shared folder"))?;
    fs::create_dir(&shared).map_err(io("making the shared folder"))?;
    share_in(&robot, &shared, "moved away.bag")?;
    fs::remove_dir_all(&shared).map_err(io("removing the shared folder"))?;
    let is_told = || report(&robot).ok()?["shared_folders"][0]["reason"].as_str().map(str::to_owned);
    let reason = wait_until(SOON, "the missing folder is reported", is_told)?;
    assert!(reason.contains("not there"), "{reason}");
    fs::create_dir(&shared).map_err(io("making the shared folder"))?;
    share_in(&robot, &shared, "made anew.bag")?;
    let folder = shared.display().to_string();
    at_mounts_of(&mut robot, &["mount", "-t", "tmpfs", "-o", "size=8m", "stick", &folder])?;
    let seen = seen_by(&mut robot, &shared)?;
    share_in(&robot, &seen, "on a stick.bag")?;
    at_mounts_of(&mut robot, &["umount", &folder])?;
    share_in(&robot, &shared, "below the stick.bag")
}

#[test]
fn files_of_the_daemon_are_never_shared_and_omitted_files_are_reported() -> Result {
    let Some(lab) = or_skip("private", Lab::new("private")) else {
        return Ok(());
    };
    let robot = Robot::start_on(lab.host("duckie")?, NO_RESCAN)?;
    let shared = robot.shared_folder();
    let linked = fs::hard_link(robot.data_folder().join("identity.key"), shared.join("key.bag"));
    linked.map_err(io("linking the key"))?;
    write(&shared.join("tab\t.bag"), "x")?;
    share_in(&robot, &shared, "a.bag")?;
    assert_eq!(names(&robot).unwrap_or_default(), ["a.bag"]);
    let report = report(&robot)?;
    let left_out = report["shared_folders"][0]["left_out"].as_array().cloned().unwrap_or_default();
    let rows: Vec<_> = left_out.iter().map(|row| (row["code"].as_str(), row["total"].as_u64())).collect();
    assert_eq!(rows, [(Some("control_characters"), Some(1)), (Some("private"), Some(1))], "{report:#}");
    let shown = robot.cli_text(&["report"])?;
    assert!(shown.contains("Not shared from"), "{shown}");
    let key = robot.data_folder().join("identity.key");
    let refused = robot.cli_failure(&["add", &key.display().to_string()])?;
    assert!(refused.contains("is never shared"), "{refused}");
    Ok(())
}

#[test]
fn a_daemon_with_its_blocks_in_the_folder_or_a_file_as_folder_does_not_start() -> Result {
    let Some(lab) = or_skip("unfit folder", Lab::new("unfit")) else {
        return Ok(());
    };
    let host = lab.host("blocks")?;
    let blocks = host.folder().join("home/shared-logs/blocks");
    let robot = Robot::new(host, &format!("ipfs_dir = {:?}\n", blocks.display().to_string()))?;
    refuses_to_start(robot, "--ipfs-dir")?;
    let robot = Robot::new(lab.host("file")?, "")?;
    let shared = robot.shared_folder();
    fs::remove_dir(&shared).map_err(io("removing the shared folder"))?;
    write(&shared, "no folder")?;
    refuses_to_start(robot, "is a file; choose a folder with --shared")
}

fn refuses_to_start(mut robot: Robot, way_out: &str) -> Result {
    robot.launch()?;
    let daemon = robot.running()?;
    let status = daemon.wait_for_end(LIMIT)?;
    let shown = daemon.tail();
    assert!(!status.success() && shown.contains("the shared folder") && shown.contains(way_out), "{shown}");
    Ok(())
}
