//! Usage statistics of real daemons. They run for a moment of one week, and are started again in the next week, when the reports are
//! due.

mod witness;

use std::fs;
use std::path::Path;
use std::time::Duration;

use lab::daemon::Robot;
use lab::{Error, FakeClock, Lab, Result, Unavailable, or_skip, wait_until};
use serde_json::Value;
use witness::Witness;

const SOON: Duration = Duration::from_secs(120);
const WEEK: i64 = 7 * 86_400;
/// Time for which a robot without consent is observed after the others have sent. Each robot decides at its start.
const SILENCE: Duration = Duration::from_secs(15);

/// Returns a lab, and the clock of the next week.
fn available(name: &str) -> Result<(Lab, FakeClock), Unavailable> {
    let next_week = FakeClock::ahead(WEEK)?;
    Ok((Lab::new(name)?, next_week))
}

/// Makes a robot whose permission file is `file`, and whose reports are due as soon as a week is over.
fn robot(lab: &Lab, name: &str, file: Option<&str>) -> Result<Robot> {
    let host = lab.host(name)?;
    let path = host.folder().join("allow_push_stats_data");
    if let Some(content) = file {
        fs::write(&path, content)
            .map_err(|source| Error::Io { what: "writing a permission file".to_owned(), source })?;
    }
    Robot::start_on(host, &format!("[usage]\nspread_hours = 0\npermission_file = {path:?}\n"))
}

/// Makes a swarm of these robots. The first one becomes an admin.
fn join(robots: &[&Robot], folder: &Path) -> Result {
    let file = folder.join("class.toml").display().to_string();
    let [admin, ..] = robots else { return Ok(()) };
    admin.cli(&["swarm", "init", &file, "--name", "class", "--json"])?;
    for robot in robots {
        robot.cli(&["swarm", "join", &file, "--json"])?;
    }
    admin.cli(&["grant", "admin", &admin.peer_id()?, "--key", "class-root", "--json"])?;
    Ok(())
}

/// Starts the daemon of a robot again, in the next week.
fn in_the_next_week(robot: Robot, clock: &FakeClock) -> Result<Robot> {
    let mut robot = robot;
    robot.terminate()?;
    let mut robot = robot.with_clock(Some(clock.clone()));
    robot.restart()?;
    Ok(robot)
}

fn shown(robot: &Robot) -> Value {
    robot.cli(&["usage", "show", "--json"]).unwrap_or_default()
}

/// Waits until a robot has noted the present hour, so that its week will be reported.
fn wait_until_noted(robot: &Robot) -> Result {
    let payload = wait_until(SOON, "notes of the present week", || {
        let payload = shown(robot)["present"]["payload"].as_str()?.to_owned();
        (!payload.contains(&"0".repeat(64))).then_some(payload)
    })?;
    println!("{}: {payload}", robot.host().name());
    Ok(())
}

/// Waits until a collector has confirmed the only report of a robot.
fn wait_until_counted(robot: &Robot) -> Result {
    let counted = wait_until(SOON, "a confirmed report", || (states(robot) == ["counted"]).then_some(()));
    if counted.is_err() {
        println!("{}: {:#}", robot.host().name(), shown(robot));
    }
    counted
}

/// Returns the bytes of usage statistics that a robot has sent, by its own count.
fn sent_bytes(robot: &Robot) -> u64 {
    robot.cli(&["stats", "--json"]).unwrap_or_default()["counters"]["usage.sent"].as_u64().unwrap_or(0)
}

fn states(robot: &Robot) -> Vec<String> {
    let reports = shown(robot)["reports"].as_array().cloned().unwrap_or_default();
    reports.iter().filter_map(|report| report["state"].as_str().map(str::to_owned)).collect()
}

#[test]
fn without_consent_not_one_byte_is_sent_and_with_it_exactly_what_is_shown() -> Result {
    let Some((lab, clock)) = or_skip("usage", available("usage")) else { return Ok(()) };
    let witness = Witness::start(&lab.host("witness")?)?;
    // The owner permits, a file permits, nobody was asked, the owner denies, a file denies.
    let yes = robot(&lab, "agreeing", None)?;
    let (file, unasked) = (robot(&lab, "permitted", Some("1\n"))?, robot(&lab, "unasked", None)?);
    let (no, denied) = (robot(&lab, "refusing", Some("1\n"))?, robot(&lab, "denied", Some("0"))?);
    join(&[&yes, &file, &unasked, &no, &denied], lab.folder())?;
    let id = witness::peer_id();
    yes.cli(&["propose", "collectors", &id, "--forever", "--json"])?;
    let key = witness::key_file(lab.folder())?.display().to_string();
    let bucket = format!("pri/{id}/ipfs_addresses");
    // A signer without a role may make statements for eight days, which is more than a week.
    yes.cli(&["propose", &bucket, &witness.address(), "--for", "191h", "--key", &key, "--json"])?;

    assert_eq!(
        (&shown(&unasked)["is_allowed"], &shown(&unasked)["decided_by"]),
        (&false.into(), &"nobody".into())
    );
    println!("{}", unasked.cli_text(&["usage", "show"])?);
    yes.cli(&["usage", "allow", "--json"])?;
    no.cli(&["usage", "deny", "--json"])?;
    let refused = denied.cli_failure(&["usage", "allow"])?;
    assert!(refused.contains("denies usage statistics"), "{refused}");
    wait_until_noted(&yes)?;
    wait_until_noted(&file)?;
    for robot in [&yes, &file, &unasked, &no, &denied] {
        wait_until(SOON, "the collector", || (shown(robot)["collectors"][0]["peer"] == id).then_some(()))?;
    }
    assert_eq!(witness.lines(), [], "the week is not over");

    let [yes, file, unasked, no, denied] =
        [yes, file, unasked, no, denied].map(|robot| in_the_next_week(robot, &clock));
    let (yes, file, unasked, no, denied) = (yes?, file?, unasked?, no?, denied?);
    for robot in [&yes, &file] {
        wait_until_counted(robot)?;
        let payload = shown(robot)["reports"][0]["payload"].as_str().unwrap_or_default().to_owned();
        let me = robot.peer_id()?;
        let captured: Vec<String> =
            witness.lines().into_iter().filter(|(peer, _)| *peer == me).map(|(_, line)| line).collect();
        println!("{} sent {captured:?}", robot.host().name());
        assert_eq!(captured, [format!("report {payload}")], "the captured bytes are those that are shown");
        assert_eq!(sent_bytes(robot), captured.iter().map(|line| line.len() as u64 + 1).sum::<u64>());
        let identity = [me, robot.host().name().to_owned(), robot.host().address().to_string()];
        assert!(identity.iter().all(|word| !payload.contains(word)), "{payload}");
        assert!(
            witness.traffic_of(robot.host(), &identity[0]).0 > 0,
            "the capture sees the frames of the others"
        );
    }
    println!("{}", yes.cli_text(&["usage", "show"])?);
    std::thread::sleep(SILENCE);
    for robot in [&unasked, &no, &denied] {
        wait_until(SOON, "the collector", || (shown(robot)["collectors"][0]["peer"] == id).then_some(()))?;
        let me = robot.peer_id()?;
        assert_eq!(shown(robot)["reports"], Value::Array(vec![]));
        assert_eq!(sent_bytes(robot), 0);
        let (frames, is_connected) = witness.traffic_of(robot.host(), &me);
        println!("{}: {frames} frames to the collector, connected: {is_connected}", robot.host().name());
        assert_eq!((frames, is_connected), (0, false), "no frame reaches the collector");
        assert!(witness.lines().iter().all(|(peer, _)| *peer != me));
    }

    // The owner lets everything be deleted.
    let report = witness.lines().into_iter().find(|(peer, _)| yes.peer_id().is_ok_and(|me| *peer == me));
    let payload = report.map(|(_, line)| line.trim_start_matches("report ").to_owned()).unwrap_or_default();
    assert_eq!(yes.cli(&["usage", "forget", "--json"])?["pending_reports"], 1);
    wait_until(SOON, "the report deleted", || states(&yes).is_empty().then_some(()))?;
    let last = witness.lines().pop().map(|(_, line)| line).unwrap_or_default();
    assert!(last.starts_with("forget ") && last.ends_with(&payload), "{last}");
    assert_eq!(shown(&yes)["is_allowed"], false);
    Ok(())
}

/// Returns the number of robots of which the collector shows this value, in the latest week.
fn total(collector: &Robot, field: &str, value: &str) -> Option<u64> {
    let totals = collector.cli(&["usage", "totals", "--json"]).ok()?;
    let fields = totals["weeks"][0]["fields"].as_array()?.clone();
    let values = fields.iter().find(|row| row["field"] == field)?["values"].as_array()?.clone();
    values.iter().find(|row| row["value"] == value)?["robots"].as_u64()
}

#[test]
fn a_collector_shows_totals_of_five_robots_and_forgets_one() -> Result {
    let Some((lab, clock)) = or_skip("usage totals", available("usagesum")) else { return Ok(()) };
    let collector = robot(&lab, "collector", None)?;
    let robots: Vec<Robot> = ["r1", "r2", "r3", "r4", "r5"]
        .map(|name| robot(&lab, name, Some("1")))
        .into_iter()
        .collect::<Result<_>>()?;
    let all: Vec<&Robot> = [&collector].into_iter().chain(&robots).collect();
    join(&all, lab.folder())?;
    let id = collector.peer_id()?;
    collector.cli(&["propose", "collectors", &id, "--forever", "--json"])?;
    for robot in &robots {
        wait_until_noted(robot)?;
        wait_until(SOON, "the collector", || (shown(robot)["collectors"][0]["peer"] == id).then_some(()))?;
    }
    assert!(collector.cli_text(&["usage", "totals"])?.contains("No robot"));

    let collector = in_the_next_week(collector, &clock)?;
    let robots: Vec<Robot> =
        robots.into_iter().map(|robot| in_the_next_week(robot, &clock)).collect::<Result<_>>()?;
    for robot in &robots {
        wait_until_counted(robot)?;
    }
    assert_eq!(total(&collector, "hours", "1-5"), Some(5));
    println!("{}", collector.cli_text(&["usage", "totals"])?);
    let counters = collector.cli(&["stats", "--json"])?["counters"].clone();
    assert_eq!(counters["usage.counted"], 5, "{counters}");

    // After a restart the totals are the same. Four robots are too few.
    let mut collector = collector;
    collector.restart()?;
    assert_eq!(total(&collector, "hours", "1-5"), Some(5));
    let [first, ..] = robots.as_slice() else { return Ok(()) };
    assert_eq!(first.cli(&["usage", "forget", "--json"])?["pending_reports"], 1);
    wait_until(SOON, "the report deleted", || states(first).is_empty().then_some(()))?;
    assert_eq!(total(&collector, "hours", "1-5"), None);
    assert_eq!(shown(first)["is_allowed"], false, "the denial counts although a file permits");
    println!("{}", collector.cli_text(&["usage", "totals"])?);
    Ok(())
}
