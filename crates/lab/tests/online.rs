//! The table of robots: `online`, `find`, `addresses`, `network`, and names of robots in place of hosts.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::daemon::Robot;
use lab::{Error, FakeClock, Finished, Lab, Result, or_skip, run, wait_until};
use serde_json::Value;

const SOON: Duration = Duration::from_secs(60);
/// Maximum time of one command. A command that asks an absent robot tries each of its addresses.
const COMMAND_LIMIT: Duration = Duration::from_secs(30);
/// Maximum time until a robot that stopped cleanly is not shown any more, on a busy machine. It has withdrawn its presence
/// before its daemon ended, so this is the time of one command.
const AT_ONCE: Duration = Duration::from_secs(10);
/// Clocks, in seconds ahead of the machine's, at which the presence of a robot that was killed still holds, and is over. A
/// presence holds for 600 s.
const PRESENCE: [i64; 2] = [500, 660];
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
    let begun = Instant::now();
    wait_for_names(&asker, "localhost", &["asker"])?;
    println!("a robot that stops leaves the table after {:.1} s", begun.elapsed().as_secs_f64());
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let all = ask_json(&asker, "localhost", &["online", "--all"])?;
    assert_eq!(fields(&all, "hostname"), ["asker", "duckie7"]);
    let found = ask(&asker, "localhost", &["find", "duckie7"])?;
    assert!(!found.status.success() && found.stderr.contains("is not present any more"), "{}", found.stderr);
    Ok(())
}

#[test]
fn a_killed_robot_leaves_the_table_when_its_presence_ends() -> Result {
    let clocks: std::result::Result<Vec<_>, _> = PRESENCE.into_iter().map(FakeClock::ahead).collect();
    let Some(clocks) = or_skip("killed robot", clocks) else { return Ok(()) };
    let Some(lab) = or_skip("killed robot", Lab::new("killed")) else { return Ok(()) };
    let mut asker = Robot::start(&lab, "asker")?;
    let mut duckie = Robot::start(&lab, "duckie7")?;
    wait_for_names(&asker, "localhost", &["asker", "duckie7"])?;
    duckie.kill9()?;
    for (clock, names) in clocks.into_iter().zip([&["asker", "duckie7"][..], &["asker"]]) {
        asker.terminate()?;
        asker = asker.with_clock(Some(clock));
        asker.restart()?;
        // The CLI reads the table of the daemon, by the clock of the daemon.
        let online = ask_json(&asker, "localhost", &["online"])?;
        let mut seen = fields(&online, "hostname");
        seen.sort_unstable();
        assert_eq!(seen, names, "{online:#}");
    }
    Ok(())
}

#[test]
fn a_program_that_watches_the_table_is_told_of_changes() -> Result {
    let Some(lab) = or_skip("watched table", Lab::new("watched")) else { return Ok(()) };
    let (asker, other) = (Robot::start(&lab, "asker")?, Robot::start(&lab, "other")?);
    let far = asker.host().address().to_string();
    for (robot, host, name) in [(&asker, "localhost", "duckie1"), (&other, far.as_str(), "duckie2")] {
        wait_for_names(robot, host, &["asker", "other"])?;
        let command = robot.cli_command_to(host, &["online", "--watch", "--json"]);
        let mut watching = robot.host().spawn("dt-swarm-cli", command)?;
        watching.wait_for_line(|line| line.contains("\"asker\""), SOON)?;
        let mut duckie = Robot::start(&lab, name)?;
        let is_shown = |line: &str| line.contains(&format!("\"{name}\""));
        watching.wait_for_line(is_shown, SOON)?;
        let mark = watching.mark();
        duckie.terminate()?;
        let begun = Instant::now();
        watching.wait_for_line_after(mark, |_, line| line.contains("\"asker\"") && !is_shown(line), SOON)?;
        println!("{host}: the end of a robot is reported after {:.1} s", begun.elapsed().as_secs_f64());
        let mut interrupt = Command::new("kill");
        interrupt.args(["-INT", &watching.pid().to_string()]);
        run(interrupt, COMMAND_LIMIT)?.success("kill -INT")?;
        watching.wait_for_end(COMMAND_LIMIT)?;
    }
    Ok(())
}
