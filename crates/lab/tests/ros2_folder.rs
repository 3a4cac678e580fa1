//! A folder that ROS 2 recorded is one log: it is shared, described, fetched and uploaded as a whole. The recordings are
//! written by the PyPI package `rosbags`.

mod files;

use files::read;
use lab::daemon::Robot;
use lab::peers::{recordings_available, write_recordings};
use lab::{Error, Lab, Result, or_skip, wait_until};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

const LATER: Duration = Duration::from_secs(120);

fn failed(what: &str) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.to_owned();
    |source| Error::Io { what, source }
}

/// Returns the files of a folder.
fn files_of(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(failed("listing"))? {
        let path = entry.map_err(failed("listing"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.insert(name, read(&path)?);
    }
    Ok(files)
}

fn copy(from: &Path, to: &Path) -> Result {
    fs::create_dir_all(to).map_err(failed("making"))?;
    for (name, content) in files_of(from)? {
        fs::write(to.join(name), content).map_err(failed("copying"))?;
    }
    Ok(())
}

/// Returns the topics that `log` shows, as the expectations have them.
fn topics(log: &Value) -> Vec<Value> {
    let topics = log["topics"].as_array().cloned().unwrap_or_default();
    let mut topics: Vec<Value> = topics
        .into_iter()
        .map(|topic| ["name", "message_type", "messages"].map(|key| topic[key].clone()).to_vec().into())
        .collect();
    topics.sort_by_key(Value::to_string);
    topics
}

/// Waits until both robots know that so many robots keep a log.
fn wait_until_kept(robots: &[&Robot], name: &str, holders: usize) -> Result {
    let is_kept = |robot: &&Robot| {
        let log = robot.cli(&["log", name, "--json"]).ok();
        log.is_some_and(|log| log["holders"].as_array().map(Vec::len) == Some(holders))
    };
    wait_until(LATER, &format!("{name} kept by {holders}"), || robots.iter().all(is_kept).then_some(()))
}

/// Puts both robots into a swarm in which the first one is admin.
fn found(first: &Robot, other: &Robot) -> Result {
    let file = first.host().folder().join("class.toml").to_string_lossy().into_owned();
    first.cli(&["swarm", "init", &file, "--name", "class", "--json"])?;
    for robot in [first, other] {
        robot.cli(&["swarm", "join", &file, "--json"])?;
    }
    first.cli(&["grant", "admin", &first.peer_id()?, "--key", "class-root", "--json"])?;
    first.cli(&["grant", "trusted", &other.peer_id()?, "--json"])?;
    Ok(())
}

#[test]
fn a_folder_of_ros_2_is_one_log_on_another_robot() -> Result {
    let test = "a_folder_of_ros_2_is_one_log_on_another_robot";
    if or_skip(test, recordings_available()).is_none() {
        return Ok(());
    }
    let Some(lab) = or_skip(test, Lab::new("ros2")) else { return Ok(()) };
    let recorded = tempfile::tempdir().map_err(failed("a temporary folder"))?;
    let expected = write_recordings(recorded.path())?;
    let host = lab.host("server")?;
    let storage = host.folder().join("storage");
    fs::create_dir_all(&storage).map_err(failed("making"))?;
    let server =
        Robot::start_on(host, &format!("[uploads]\ndestination = \"file://{}\"\n", storage.display()))?;
    let robot = Robot::start_on(lab.host("robot")?, "[uploads]\nallow = true\n")?;
    found(&server, &robot)?;
    for name in ["mcap-9", "sqlite3-8", "file-compressed"] {
        let original = recorded.path().join(name);
        copy(&original, &robot.shared_folder().join("day").join(name))?;
        wait_until_kept(&[&server, &robot], name, 2)?;
        let log = server.cli(&["log", name, "--json"])?;
        assert_eq!(
            (&log["recording"]["kind"], &log["recording"]["fault"]),
            (&"ros2".into(), &Value::Null),
            "{log}"
        );
        let mut wanted = expected[name]["topics"].as_array().cloned().unwrap_or_default();
        wanted.sort_by_key(Value::to_string);
        assert_eq!(topics(&log), wanted, "{name}");
        assert!(!wanted.is_empty());
        let content = files_of(&original)?;
        let size: usize = content.values().map(Vec::len).sum();
        assert_eq!(log["bytes"], size, "{log}");

        // The daemon writes the folder.
        let folder = server.host().folder().join("got");
        let to = folder.join(name).to_string_lossy().into_owned();
        let into = format!("{}/", folder.display());
        server.cli_text(&["get", name, "-o", &into])?;
        assert!(files_of(Path::new(&to))? == content, "{name}");
        let refused = server.cli_failure(&["get", name, "-o", &into])?;
        assert!(refused.contains("is not a file"), "{refused}");

        // The program fetches the folder from another host.
        let to = robot.host().folder().join("copied").join(name);
        let text = to.to_string_lossy().into_owned();
        let address = server.host().address().to_string();
        let mut command = robot.cli_command_to(&address, &["get", name, "-o", &text]);
        command.env("DT_SWARM_SOCKET", "/nowhere/control.sock");
        robot.host().run(command, LATER)?.success("get")?;
        assert!(files_of(&to)? == content, "{name}");

        // The folder is uploaded as an archive, and comes back from it.
        let uploaded = || {
            let log = server.cli(&["log", name, "--json"]).ok()?;
            (log["state"] == "uploaded").then(|| log["cid"].as_str().map(str::to_owned)).flatten()
        };
        let cid = wait_until(LATER, "the upload", uploaded)?;
        assert!(storage.join(format!("logs/{cid}.tar")).is_file(), "{cid}");
        let to = server.host().folder().join("stored").join(name);
        let text = to.to_string_lossy().into_owned();
        server.cli_text(&["get", name, "--from", "uploads", "-o", &text])?;
        assert!(files_of(&to)? == content, "{name}");
    }
    // Each folder is one entry.
    let report = server.cli(&["report", "--json"])?;
    assert_eq!(report["files"].as_array().map(Vec::len), Some(3), "{report}");

    // The uploaded folders need not stay on the robot.
    let all_uploaded = || {
        let list = robot.cli(&["free", "--in-open-swarm", "--dry-run", "--json"]).ok()?;
        (list["total"] == 3).then_some(())
    };
    wait_until(LATER, "the receipts on the robot", all_uploaded)?;
    let freed = robot.cli(&["free", "--in-open-swarm", "--yes", "--json"])?;
    let deleted = freed["files"].as_array().into_iter().flatten().filter(|file| file["is_deleted"] == true);
    assert_eq!(deleted.count(), 3, "{freed}");
    let left = fs::read_dir(robot.shared_folder().join("day")).map_err(failed("listing"))?.count();
    assert_eq!(left, 0, "the folders are deleted");
    wait_until_kept(&[&server, &robot], "mcap-9", 1)?;
    Ok(())
}
