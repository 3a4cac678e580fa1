//! Robots that change or are wrong in some way, each shown rightly by `online`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::daemon::Robot;
use lab::{Error, FakeClock, Lab, Result, or_skip, run, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);
/// Maximum time until a new name is shown.
const CHANGED: Duration = Duration::from_secs(60);
const TOOL: Duration = Duration::from_secs(10);
/// Number of addresses that a robot gets one after the other, and the shortest time for which it has each.
const MOVES: (u8, Duration) = (6, Duration::from_secs(8));
/// Maximum time until a new address is shown.
const MOVED: Duration = Duration::from_secs(20);
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
    write(&robot.host().folder().join("dt-swarm.toml"), "")?;
    let script = format!("exec unshare --uts sh -c 'hostname {name} && exec \"$@\"' sh \"$@\"");
    let mut robot = robot.started_by(&script)?;
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

/// Gives the interface of a robot another address, in place of the former one.
fn readdress(robot: &Robot, address: &str) -> Result {
    for arguments in
        ["address flush dev eth0 scope global", &format!("address add {address}/24 broadcast + dev eth0")]
    {
        let mut command = robot.host().command("ip");
        command.args(arguments.split(' '));
        robot.host().run(command, TOOL)?.success(arguments)?;
    }
    Ok(())
}

/// Returns the values of a field of each object in a list.
fn texts(list: &Value, field: &str) -> Vec<String> {
    let objects = list.as_array().cloned().unwrap_or_default();
    objects.iter().filter_map(|object| Some(object[field].as_str()?.to_owned())).collect()
}

/// Checks that a robot shows the roamer once, with no other robot of its name. Returns its row.
fn roamer(asker: &Robot, all: bool) -> Option<Value> {
    let options: &[&str] = if all { &["online", "--json", "--all"] } else { &["online", "--json"] };
    let rows = asker.cli(options).ok()?["robots"].as_array()?.clone();
    let (mut named, others): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row["hostname"] == "roamer");
    assert!(
        named.len() <= 1 && others.len() == 1,
        "the roamer is shown several times: {named:#?} {others:#?}"
    );
    let row = named.pop()?;
    assert_eq!((&row["is_name_shared"], row["peer"].is_string()), (&Value::Bool(false), true), "{row:#}");
    Some(row)
}

/// Waits until a robot shows the roamer only at this address.
fn wait_for_address(asker: &Robot, address: &str) -> Result<Value> {
    wait_until(MOVED, &format!("the address {address}"), || {
        let row = roamer(asker, false).filter(|row| row["state"] == "here")?;
        let (stated, heard) = (texts(&row["addresses"], "value"), texts(&row["heard"], "address"));
        let is_stated = !stated.is_empty() && stated.iter().all(|stated| stated.contains(address));
        let is_heard = heard.first().is_some_and(|heard| heard.starts_with(address));
        (is_stated && is_heard).then_some(row)
    })
}

#[test]
fn a_robot_whose_address_changes_all_the_time_is_shown_once_at_its_latest_address() -> Result {
    let Some(lab) = or_skip("roaming robot", Lab::new("roaming")) else { return Ok(()) };
    let asker = Robot::start(&lab, "asker")?;
    // With a type, the robot also publishes facts for the programs of Duckietown, which have addresses, too.
    let roaming = Robot::new(lab.host("roamer")?, "")?;
    let mut roaming = roaming.started_by("export ROBOT_TYPE=duckiebot; exec \"$@\"")?;
    roaming.restart()?;
    wait_for_address(&asker, &roaming.host().address().to_string())?;
    let mut former: Vec<String> = vec![roaming.host().address().to_string()];
    for number in 0..MOVES.0 {
        let (address, begun) = (format!("10.77.0.{}", 150 + number), Instant::now());
        readdress(&roaming, &address)?;
        let row = wait_for_address(&asker, &address)?;
        println!("{address} is shown after {:.1} s: {}", begun.elapsed().as_secs_f64(), row["heard"]);
        let found = asker.cli(&["find", "roamer", "--json"])?;
        let stated = texts(&found["robots"][0]["addresses"], "value");
        assert!(stated.iter().all(|stated| stated.contains(&address)), "{found:#}");
        assert_eq!(found["robots"].as_array().map(Vec::len), Some(1), "{found:#}");
        let ping = asker.cli_command_to("roamer", &["ping", "-c", "1"]);
        asker.host().run(ping, TOOL)?.success("ping roamer")?;
        // It is shown once during all the time.
        while begun.elapsed() < MOVES.1 {
            roamer(&asker, true);
        }
        former.push(address);
    }
    // Where it was before, is older.
    let row = roamer(&asker, true).unwrap_or_default();
    println!("{row:#}");
    let last = former.pop().unwrap_or_default();
    for heard in row["heard"].as_array().into_iter().flatten() {
        let (at, age) = (heard["address"].as_str().unwrap_or_default(), heard["age_seconds"].as_u64());
        assert!(at.starts_with(&last) || age >= Some(MOVES.1.as_secs()), "{row:#}");
    }
    println!("{}", asker.cli_text(&["find", "roamer"])?);
    Ok(())
}
