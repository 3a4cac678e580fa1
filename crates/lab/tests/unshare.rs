//! `unshare`: a robot withdraws its own file from all others.

mod files;

use files::{SOON, wait_until_safe};
use lab::daemon::Robot;
use lab::{FakeClock, Lab, Result, or_skip, wait_until};
use serde_json::Value;
use std::time::{Duration, Instant};

/// A robot that keeps every file, takes files at once, rescans its folder every second, and checks every five seconds
/// whether its files are still there.
const QUICK: &str = "settle_seconds = 0\nrescan_seconds = 1\nlogs.copies = 0\n";
/// Time in which a record reaches all robots, and their daemons act on it.
const HEARD: Duration = Duration::from_secs(4);
/// Number of robots.
const ROBOTS: usize = 10;
/// Time for which one of them is away, in seconds.
const DAY: i64 = 24 * 3600;
/// Time within which all robots that are present drop the file, after they heard of it.
const AIM: Duration = Duration::from_secs(10);

fn files_of(robot: &Robot) -> Option<Vec<Value>> {
    robot.cli(&["report", "--json"]).ok()?["files"].as_array().cloned()
}

fn entry(robot: &Robot, name: &str) -> Option<Value> {
    files_of(robot)?.into_iter().find(|file| file["name"] == name)
}

fn has_pinned(robot: &Robot, cid: &str) -> Option<bool> {
    let storage = robot.cli(&["storage", "--json"]).ok()?;
    Some(storage["pins"].as_array()?.iter().any(|pin| pin["cid"] == cid))
}

/// Waits until a robot neither lists nor keeps the file.
fn wait_until_gone(robot: &Robot, name: &str, cid: &str) -> Result {
    let is_gone = || {
        let is_listed = files_of(robot)?.iter().any(|file| file["name"] == name);
        (!is_listed && !has_pinned(robot, cid)?).then_some(())
    };
    wait_until(SOON, &format!("{name} is gone at {}", robot.host().name()), is_gone)
}

fn hostnames(peers: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        peers.as_array().into_iter().flatten().filter_map(|peer| peer["hostname"].as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn an_unshared_file_is_dropped_by_all_also_by_a_robot_that_was_away() -> Result {
    let Some(lab) = or_skip("unsharing", Lab::new("unshare")) else {
        return Ok(());
    };
    let mut robots = Vec::new();
    for number in 0..ROBOTS {
        robots.push(Robot::start_on(lab.host(&format!("r{number}"))?, QUICK)?);
    }
    let path = robots[0].share("run.bag", b"a log that should not have been shared")?;
    robots[0].share("other.bag", b"another log")?;
    let all: Vec<&Robot> = robots.iter().collect();
    wait_until_safe(&all, "run.bag", ROBOTS)?;
    wait_until_safe(&all, "other.bag", ROBOTS)?;
    let cid = entry(&robots[0], "run.bag")
        .and_then(|file| Some(file["cid"].as_str()?.to_owned()))
        .unwrap_or_default();
    // The word of a robot that did not share the file has no effect.
    for file in ["run.bag", &cid] {
        let refused = robots[1].cli_failure(&["unshare", file])?;
        println!("{}", refused.trim());
        assert!(refused.contains("only that robot can unshare it"), "{refused}");
    }
    robots[1].cli_text(&["dismiss", "share/safe", &cid])?;
    // Nothing must happen in this time, so there is no event to wait for.
    std::thread::sleep(HEARD);
    for robot in &robots {
        assert_eq!(
            has_pinned(robot, &cid),
            Some(true),
            "a stranger made {} drop the file",
            robot.host().name()
        );
    }
    wait_until_safe(&all, "run.bag", ROBOTS)?;
    robots[ROBOTS - 1].kill9()?;
    let begun = Instant::now();
    let said = robots[0].cli(&["unshare", "run.bag", "--wait", "5", "--json"])?;
    for robot in &robots[1..ROBOTS - 1] {
        wait_until_gone(robot, "run.bag", &cid)?;
    }
    println!("{} robots dropped the file after {:.1} s", ROBOTS - 2, begun.elapsed().as_secs_f64());
    assert!(begun.elapsed() < AIM + Duration::from_secs(5), "the command itself waits for five seconds");
    println!("{}", robots[0].cli_text(&["unshare"])?.trim());
    let others: Vec<String> = (1..ROBOTS).map(|number| format!("r{number}")).collect();
    let (away, present) = others.split_last().unwrap_or_else(|| unreachable!("there are several robots"));
    assert_eq!(hostnames(&said["files"][0]["waiting"]), [away], "{said:#}");
    assert_eq!(hostnames(&said["files"][0]["confirmed"]), present, "{said:#}");
    assert!(path.exists(), "a file in a shared folder was deleted");
    // The robot that was away for a day still has the file and its statement. It hears of the withdrawal while the uploader
    // is away, and drops the file.
    robots[0].kill9()?;
    let clock = or_skip("a day away", FakeClock::ahead(DAY));
    let mut robots: Vec<Robot> = robots.into_iter().map(|robot| robot.with_clock(clock.clone())).collect();
    for robot in robots[1..ROBOTS - 1].iter_mut().filter(|_| clock.is_some()) {
        robot.restart()?;
    }
    let returned = Instant::now();
    robots[ROBOTS - 1].restart()?;
    wait_until_gone(&robots[ROBOTS - 1], "run.bag", &cid)?;
    println!("the robot that was away dropped it after {:.1} s", returned.elapsed().as_secs_f64());
    robots[0].restart()?;
    let is_confirmed = || {
        let said = robots[0].cli(&["unshare", "--json"]).ok()?;
        (said["files"][0]["waiting"].as_array()?.is_empty()).then_some(said)
    };
    let said = wait_until(SOON, "all have confirmed", is_confirmed)?;
    assert_eq!(hostnames(&said["files"][0]["confirmed"]), others, "{said:#}");
    let shown = robots[0].cli_text(&["report"])?;
    assert!(shown.contains("run.bag") && shown.contains("it was unshared"), "{shown}");
    // A later file is shared, the withdrawn one is not, although it lies in the folder.
    robots[0].share("later.bag", b"a third log")?;
    let all: Vec<&Robot> = robots.iter().collect();
    wait_until_safe(&all, "later.bag", ROBOTS)?;
    for robot in &robots {
        wait_until_gone(robot, "run.bag", &cid)?;
        assert!(entry(robot, "other.bag").is_some(), "the other file is still shared");
    }
    println!("{}", robots[0].cli_text(&["share", "run.bag"])?.trim());
    wait_until_safe(&all, "run.bag", ROBOTS)?;
    let said = robots[0].cli_failure(&["share", "run.bag"])?;
    assert!(said.contains("is not unshared"), "{said}");
    Ok(())
}

#[test]
fn a_file_that_was_deleted_from_the_folder_is_unshared_as_well() -> Result {
    let Some(lab) = or_skip("unsharing a deleted file", Lab::new("unshare2")) else {
        return Ok(());
    };
    let a = Robot::start_on(lab.host("a")?, QUICK)?;
    let b = Robot::start_on(lab.host("b")?, QUICK)?;
    let path = a.share("run.bag", b"a log")?;
    let found = wait_until_safe(&[&a, &b], "run.bag", 2)?;
    let cid = found[0]["cid"].as_str().unwrap_or_default().to_owned();
    std::fs::remove_file(path).map_err(|source| lab::Error::Io { what: "deleting".to_owned(), source })?;
    wait_until_safe(&[&a, &b], "run.bag", 1)?;
    println!("{}", a.cli_text(&["unshare", "run.bag"])?.trim());
    wait_until_gone(&b, "run.bag", &cid)?;
    Ok(())
}
