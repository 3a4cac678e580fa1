//! Removal of logs: from the swarm, from one robot, and together with a robot.

mod files;

use std::fs;

use files::{SOON, wait_until_safe};
use lab::daemon::Robot;
use lab::{Error, Lab, Result, or_skip, wait_until};
use serde_json::Value;

/// A robot that takes files at once, rescans its folder every second, and checks every five seconds whether its files
/// are still there.
const QUICK: &str = "settle_seconds = 0\nrescan_seconds = 1\n";

fn robots(lab: &Lab) -> Result<[Robot; 2]> {
    Ok([Robot::start_on(lab.host("a")?, QUICK)?, Robot::start_on(lab.host("b")?, QUICK)?])
}

/// Returns the entry of `name` in a robot's report.
fn entry(robot: &Robot, name: &str) -> Option<Value> {
    let report = robot.cli(&["report", "--json"]).ok()?;
    report["files"].as_array()?.iter().find(|file| file["name"] == name).cloned()
}

fn cid(robot: &Robot, name: &str) -> Result<String> {
    let cid = || Some(entry(robot, name)?["cid"].as_str()?.to_owned());
    wait_until(SOON, &format!("{name} is known"), cid)
}

/// Waits until `robot` reports exactly these hosts as the holders of `name`.
fn wait_until_held(robot: &Robot, name: &str, hosts: &[&str]) -> Result {
    let are_these = || {
        let file = entry(robot, name)?;
        let holders = file["holders"].as_array()?.iter();
        let mut names: Vec<&str> = holders.filter_map(|holder| holder["hostname"].as_str()).collect();
        names.sort_unstable();
        (names == hosts).then_some(())
    };
    wait_until(SOON, &format!("{name} is held by {hosts:?}"), are_these)
}

fn wait_for_state(robot: &Robot, name: &str, state: &str) -> Result {
    let is_it = || (entry(robot, name)?["state"] == state).then_some(());
    wait_until(SOON, &format!("{name} is {state}"), is_it)
}

/// Returns whether a robot has content pinned.
fn has_pinned(robot: &Robot, cid: &str) -> Result<bool> {
    let pins = robot.cli(&["storage", "--json"])?["pins"].as_array().cloned().unwrap_or_default();
    Ok(pins.iter().any(|pin| pin["cid"] == cid))
}

fn io(source: std::io::Error) -> Error {
    Error::Io { what: "changing files of a robot".to_owned(), source }
}

/// Checks that the commands for records refuse a name and mention `discard`.
fn assert_names_are_refused(robot: &Robot) -> Result {
    for command in [["propose", "share/discard", "run.bag"], ["dismiss", "share/safe", "run.bag"]] {
        let said = robot.cli_failure(&command)?;
        assert!(said.contains("discard FILE|CID"), "{said}");
    }
    Ok(())
}

#[test]
fn a_log_is_discarded_by_its_name_through_restarts_and_undiscarded() -> Result {
    let Some(lab) = or_skip("discarding", Lab::new("discard")) else {
        return Ok(());
    };
    let [mut a, mut b] = robots(&lab)?;
    a.share("run.bag", b"a log")?;
    wait_until_safe(&[&a, &b], "run.bag", 2)?;
    let cid = cid(&b, "run.bag")?;
    assert_names_are_refused(&b)?;
    // No peer has a role in this swarm. The discard of another robot hides the file, but the robot that shares it
    // keeps it.
    println!("{}", b.cli_text(&["discard", "run.bag"])?.trim());
    for robot in [&a, &b] {
        wait_for_state(robot, "run.bag", "discarded")?;
    }
    wait_until(SOON, "it is unpinned", || (!has_pinned(&b, &cid).ok()?).then_some(()))?;
    let shown = a.cli_text(&["report"])?;
    println!("{}", shown.trim());
    assert!(shown.contains("1 file discarded") && shown.contains(" by b"), "{shown}");
    assert!(has_pinned(&a, &cid)?, "a stranger's discard made a robot erase its own file");
    println!("{}", b.cli_text(&["undiscard", "run.bag"])?.trim());
    wait_until_safe(&[&a, &b], "run.bag", 2)?;
    // A discard by the uploader is accepted by all robots.
    let path = a.share("own.bag", b"another log")?;
    wait_until_safe(&[&a, &b], "own.bag", 2)?;
    let cid = self::cid(&b, "own.bag")?;
    println!("{}", a.cli_text(&["discard", "own.bag"])?.trim());
    for robot in [&a, &b] {
        wait_for_state(robot, "own.bag", "discarded")?;
        let what = format!("{} has unpinned the file", robot.host().name());
        wait_until(SOON, &what, || (!has_pinned(robot, &cid).ok()?).then_some(()))?;
    }
    a.kill9()?;
    a.restart()?;
    b.kill9()?;
    b.restart()?;
    // When both keep a later file, their work on the earlier one is done.
    a.share("later.bag", b"a third log")?;
    wait_until_safe(&[&a, &b], "later.bag", 2)?;
    for robot in [&a, &b] {
        wait_for_state(robot, "own.bag", "discarded")?;
        assert!(!has_pinned(robot, &cid)?);
    }
    assert!(path.exists(), "a file in a shared folder was deleted");
    println!("{}", a.cli_text(&["undiscard", "own.bag"])?.trim());
    wait_until_safe(&[&a, &b], "own.bag", 2)?;
    Ok(())
}

#[test]
fn a_file_deleted_or_unpinned_on_a_robot_is_neither_claimed_nor_fetched_back() -> Result {
    let Some(lab) = or_skip("letting go", Lab::new("letgo")) else {
        return Ok(());
    };
    let [mut a, mut b] = robots(&lab)?;
    let path = a.share("deleted.bag", b"a log")?;
    a.share("unpinned.bag", b"another log")?;
    wait_until_safe(&[&a, &b], "deleted.bag", 2)?;
    wait_until_safe(&[&a, &b], "unpinned.bag", 2)?;
    let unpinned = cid(&b, "unpinned.bag")?;
    // The file moves out of the folder, as on a USB stick that is pulled out.
    let stick = a.home().join("stick.bag");
    fs::rename(&path, &stick).map_err(io)?;
    println!("{}", b.cli_text(&["unpin", &unpinned])?.trim());
    b.cli_text(&["gc"])?;
    let are_let_go = |a: &Robot, b: &Robot| -> Result {
        for robot in [a, b] {
            wait_until_held(robot, "deleted.bag", &["b"])?;
            wait_until_held(robot, "unpinned.bag", &["a"])?;
        }
        Ok(())
    };
    are_let_go(&a, &b)?;
    a.kill9()?;
    a.restart()?;
    b.kill9()?;
    b.restart()?;
    a.share("later.bag", b"a third log")?;
    wait_until_safe(&[&a, &b], "later.bag", 2)?;
    are_let_go(&a, &b)?;
    // Both files come back.
    fs::rename(&stick, &path).map_err(io)?;
    b.cli_text(&["pin", &unpinned])?;
    wait_until_safe(&[&a, &b], "deleted.bag", 2)?;
    wait_until_safe(&[&a, &b], "unpinned.bag", 2)?;
    Ok(())
}

#[test]
fn a_robot_whose_blocks_vanish_reports_it_without_a_request_for_them() -> Result {
    let Some(lab) = or_skip("vanishing blocks", Lab::new("vanish")) else {
        return Ok(());
    };
    let [mut a, b] = robots(&lab)?;
    a.share("run.bag", b"a log")?;
    wait_until_safe(&[&a, &b], "run.bag", 2)?;
    a.kill9()?;
    fs::remove_dir_all(b.data_folder().join("ipfs/blocks")).map_err(io)?;
    wait_until_held(&b, "run.bag", &["a"])?;
    // The file is fetched again once a peer has it.
    a.restart()?;
    wait_until_safe(&[&b], "run.bag", 2)?;
    Ok(())
}

#[test]
fn a_robot_is_revoked_with_its_files_and_comes_back() -> Result {
    let Some(lab) = or_skip("revoking", Lab::new("revoke")) else {
        return Ok(());
    };
    let [a, b] = robots(&lab)?;
    let file = a.host().folder().join("class.toml").to_string_lossy().into_owned();
    a.cli(&["swarm", "init", &file, "--name", "class", "--json"])?;
    for robot in [&a, &b] {
        robot.cli(&["swarm", "join", &file, "--json"])?;
    }
    let [admin, denied] = [&a, &b].map(|robot| {
        let daemon = robot.cli(&["ping", "--json"]).unwrap_or_default()["daemon"].clone();
        daemon["peer"].as_str().unwrap_or_default().to_owned()
    });
    a.cli(&["grant", "admin", &admin, "--key", "class-root", "--json"])?;
    b.share("spam.bag", b"rubbish")?;
    wait_until_held(&a, "spam.bag", &["a"])?;
    let is_peer = |is_there: bool| {
        let found = || {
            let peers = a.cli(&["summary", "peer", "--json"]).ok()?;
            let items = peers["buckets"].as_array()?.iter().flat_map(|bucket| bucket["items"].as_array());
            let is_found = items.flatten().any(|item| item["data"] == *denied);
            (is_found == is_there).then_some(())
        };
        wait_until(SOON, &format!("b is a peer: {is_there}"), found)
    };
    is_peer(true)?;
    let said = a.cli_text(&["revoke", "peer", &denied])?;
    println!("{}", said.trim());
    assert!(said.contains("spam.bag") && said.contains("--discard-files"), "{said}");
    is_peer(false)?;
    // No record of b is accepted any more, in any bucket. The robot that kept b's file still knows the file.
    let said = || a.cli(&["summary", &format!("pri/{denied}/*"), "--json"]).ok();
    let is_silent = || said()?["buckets"].as_array()?.is_empty().then_some(());
    wait_until(SOON, "b's records about itself are gone", is_silent)?;
    wait_until(SOON, "a describes the file", || {
        (entry(&a, "spam.bag")?["name"] == "spam.bag").then_some(())
    })?;
    println!("{}", a.cli_text(&["revoke", "peer", &denied, "--discard-files"])?.trim());
    wait_for_state(&a, "spam.bag", "discarded")?;
    wait_for_state(&b, "spam.bag", "discarded")?;
    println!("{}", a.cli_text(&["grant", "peer", &denied])?.trim());
    is_peer(true)?;
    let said = a.cli_failure(&["grant", "peer", &denied])?;
    assert!(said.contains("not denied"), "{said}");
    Ok(())
}
