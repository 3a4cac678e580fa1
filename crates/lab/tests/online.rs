//! The table of robots: `online`, `find`, `addresses`, `network`, and names of robots in place of hosts.

use std::fs;
use std::time::Duration;

use lab::daemon::Robot;
use lab::{Error, Finished, Lab, Result, or_skip, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);
/// Maximum time of one command. A command that asks an absent robot tries each of its addresses.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// Name that two robots have.
const TWIN: &str = "entebot208";

/// Runs the CLI on a robot with this HOST.
fn ask(robot: &Robot, host: &str, arguments: &[&str]) -> Result<Finished> {
    robot.host().run(robot.cli_command_to(host, arguments), COMMAND_LIMIT)
}

/// Like [`ask`], for a command that succeeds with JSON.
fn ask_json(robot: &Robot, host: &str, arguments: &[&str]) -> Result<Value> {
    let what = format!("dt-swarm-cli {host} {arguments:?}");
    let text = ask(robot, host, &[arguments, &["--json"]].concat())?.success(&what)?;
    serde_json::from_str(&text)
        .map_err(|error| Error::Answer { what: format!("{what}: {error}"), answer: text })
}

/// Returns the text of a field of each robot in a document.
fn fields(document: &Value, field: &str) -> Vec<String> {
    let robots = document["robots"].as_array().cloned().unwrap_or_default();
    robots.iter().filter_map(|robot| Some(robot[field].as_str()?.to_owned())).collect()
}

/// Waits until a robot lists exactly these names as present; returns the document.
fn wait_for_names(robot: &Robot, host: &str, names: &[&str]) -> Result<Value> {
    wait_until(SOON, &format!("{names:?} at {host}"), || {
        let document = ask_json(robot, host, &["online"]).ok()?;
        let mut seen = fields(&document, "hostname");
        seen.sort_unstable();
        (seen == names).then_some(document)
    })
}

/// Starts a robot that states another name than that of its host.
fn start_as(lab: &Lab, host: &str, name: &str) -> Result<Robot> {
    let mut robot = Robot::new(lab.host(host)?, "")?;
    let file = robot.host().folder().join("dt-swarm.toml");
    fs::write(&file, format!("hostname = {name:?}\n"))
        .map_err(|source| Error::Io { what: file.display().to_string(), source })?;
    robot.restart()?;
    Ok(robot)
}

#[test]
fn robots_are_listed_found_and_reached_by_name() -> Result {
    let Some(lab) = or_skip("online", Lab::new("online")) else { return Ok(()) };
    let asker = Robot::start(&lab, "asker")?;
    let mut duckie = Robot::start(&lab, "duckie7")?;
    let _twins = [start_as(&lab, "twin1", TWIN)?, start_as(&lab, "twin2", TWIN)?];
    let names = ["asker", "duckie7", TWIN, TWIN];
    let online = wait_for_names(&asker, "localhost", &names)?;
    println!("{}", asker.cli_text(&["online"])?);
    names_in_place_of_hosts(&asker)?;
    twins(&asker, &online)?;
    facts(&asker, &duckie)?;
    wait_for_names(&asker, "duckie7", &names)?;
    duckie.kill9()?;
    let refused = ask(&asker, "duckie7", &["ping", "--timeout", "2"])?;
    println!("{}", refused.stderr);
    assert!(!refused.status.success() && refused.stderr.contains("does not answer"), "{}", refused.stderr);
    Ok(())
}

/// Checks that commands take the name of a robot as HOST.
fn names_in_place_of_hosts(asker: &Robot) -> Result {
    for host in ["duckie7", "duckie7.local", "DUCKIE7"] {
        let ping = ask_json(asker, host, &["ping", "-c", "1"])?;
        assert_eq!(ping["daemon"]["hostname"], "duckie7", "{host}");
    }
    let own = ask(asker, "asker", &["storage"])?;
    assert!(own.status.success(), "the robot's own name means this computer: {}", own.stderr);
    let other = ask(asker, "duckie7", &["storage"])?;
    assert!(other.stderr.contains("another computer"), "{}", other.stderr);
    let unknown = ask(asker, "duckie8", &["ping"])?;
    println!("{}", unknown.stderr);
    assert!(unknown.stderr.contains("Did you mean duckie7?"), "{}", unknown.stderr);
    Ok(())
}

/// Checks that two robots of one name are told apart.
fn twins(asker: &Robot, online: &Value) -> Result {
    let refused = ask(asker, TWIN, &["ping"])?;
    println!("{}", refused.stderr);
    assert!(!refused.status.success());
    let handles = fields(online, "handle");
    let handles: Vec<&String> = handles.iter().filter(|handle| handle.starts_with(TWIN)).collect();
    assert_eq!(handles.len(), 2, "{online:#}");
    for handle in handles {
        assert!(refused.stderr.contains(handle.as_str()), "{handle} in {}", refused.stderr);
        let found = ask_json(asker, "localhost", &["find", handle])?;
        let peers = fields(&found, "peer");
        assert_eq!(peers.len(), 1, "{found:#}");
        let ping = ask_json(asker, handle, &["ping", "-c", "1"])?;
        assert_eq!(ping["daemon"]["peer"], peers[0].as_str(), "{handle}");
    }
    let both = ask_json(asker, "localhost", &["find", TWIN])?;
    assert_eq!(fields(&both, "peer").len(), 2);
    Ok(())
}

/// Checks what is known about a robot.
fn facts(asker: &Robot, duckie: &Robot) -> Result {
    let line = format!("/ip4/{}/tcp/8000/", duckie.host().address());
    wait_until(SOON, "the address of duckie7", || {
        let list = ask_json(asker, "localhost", &["addresses", "duckie7"]).ok()?;
        let addresses = list["robots"][0]["addresses"].as_array()?.clone();
        addresses
            .iter()
            .any(|address| address["value"].as_str().is_some_and(|text| text.starts_with(&line)))
            .then_some(())
    })?;
    println!("{}", asker.cli_text(&["find", "duckie7"])?);
    println!("{}", asker.cli_text(&["addresses", "duckie7"])?);
    let never = asker.cli_failure(&["find", "zebra"])?;
    assert!(never.contains("never heard of") && never.contains("doctor"), "{never}");
    wait_until(SOON, "a link to duckie7", || {
        let graph = ask_json(asker, "localhost", &["network"]).ok()?;
        let links = graph["links"].as_array()?.clone();
        links.iter().any(|link| link["heard"]["hostname"] == "duckie7").then_some(())
    })?;
    println!("{}", asker.cli_text(&["network"])?);
    let page = asker.home().join("network.html");
    asker.cli_text(&["network", "--html", &page.display().to_string()])?;
    let text = fs::read_to_string(&page).unwrap_or_default();
    assert!(text.contains("<svg ") && text.contains("duckie7"), "{text}");
    Ok(())
}

#[test]
fn a_robot_that_stops_leaves_the_table_at_once() -> Result {
    let Some(lab) = or_skip("online", Lab::new("leaving")) else { return Ok(()) };
    let asker = Robot::start(&lab, "asker")?;
    let mut duckie = Robot::start(&lab, "duckie7")?;
    wait_for_names(&asker, "localhost", &["asker", "duckie7"])?;
    duckie.terminate()?;
    wait_for_names(&asker, "localhost", &["asker"])?;
    let all = ask_json(&asker, "localhost", &["online", "--all"])?;
    assert_eq!(fields(&all, "hostname"), ["asker", "duckie7"]);
    let found = ask(&asker, "localhost", &["find", "duckie7"])?;
    assert!(!found.status.success() && found.stderr.contains("is not present any more"), "{}", found.stderr);
    Ok(())
}
