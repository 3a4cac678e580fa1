//! The health of robots: a fault on one robot is seen on another one within seconds, and is cleared without flapping.

use lab::daemon::Robot;
use lab::planted::{robot, set_charge, set_temperature};
use lab::{Lab, Result, or_skip, wait_until};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Time within which another robot shows a fault.
const FAST: Duration = Duration::from_secs(5);
/// Time within which a fault is cleared: ten seconds of good values, and the time of a fault.
const CLEARED: Duration = Duration::from_secs(20);
/// Time during which a level that was cleared is watched.
const CALM: Duration = Duration::from_secs(15);
/// Time limit of other steps on a busy machine.
const SOON: Duration = Duration::from_secs(90);

/// Returns a robot's row in the table that another robot shows.
fn row(seen_by: &Robot, name: &str) -> Option<Value> {
    let fleet = seen_by.cli(&["fleet", "--json"]).ok()?;
    fleet["robots"].as_array()?.iter().find(|row| row["hostname"] == name).cloned()
}

fn level(seen_by: &Robot, name: &str) -> Option<String> {
    row(seen_by, name)?["level"].as_str().map(str::to_owned)
}

/// Waits until another robot shows this level, and returns the row.
fn wait_for_level(seen_by: &Robot, name: &str, expected: &str, within: Duration) -> Result<Value> {
    let begun = Instant::now();
    let what = format!("{name} is {expected} at {}", seen_by.host().name());
    let found = wait_until(within, &what, || row(seen_by, name).filter(|row| row["level"] == expected))?;
    println!("{what} after {:.1} s", begun.elapsed().as_secs_f64());
    Ok(found)
}

/// Returns the number of times that the health of a robot changed for others.
fn changes(robot: &Robot) -> Option<u64> {
    robot.cli(&["stats", "--json"]).ok()?["counters"]["diagnostics.health.changed"].as_u64()
}

#[test]
fn a_fault_is_seen_by_others_within_seconds_and_cleared_without_flapping() -> Result {
    let Some(lab) = or_skip("the health of robots", Lab::new("health")) else { return Ok(()) };
    let names = ["a", "b", "c", "d"];
    let mut robots = names.iter().map(|name| robot(&lab, name, "", "")).collect::<Result<Vec<_>>>()?;
    for robot in &mut robots {
        robot.restart()?;
    }
    let [a, b, c, d] = &mut robots[..] else { return Ok(()) };
    for name in names {
        wait_for_level(a, name, "ok", SOON)?;
    }

    // A fault of one robot is first in the table of another one. The robot itself says what to do.
    set_temperature(c, 95)?;
    let hot = wait_for_level(a, "c", "error", FAST)?;
    assert_eq!(
        (&hot["findings"][0]["code"], &hot["findings"][0]["label"]),
        (&"temperature.high".into(), &"cpu-thermal".into())
    );
    let fleet = a.cli(&["fleet", "--json"])?;
    assert_eq!(fleet["robots"][0]["hostname"], "c", "{fleet:#}");
    let text = a.cli_text(&["fleet"])?;
    println!("{text}");
    assert!(text.contains("95.0 °C hot") && text.contains("4 robots: 1 ERROR, 3 OK"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    let own = c.cli(&["health", "--json"])?;
    assert_eq!(
        (&own["health"]["level"], &own["health"]["findings"][0]["value"]),
        (&"error".into(), &95.0.into())
    );
    let address = c.host().address().to_string();
    let asked = b.host().run(b.cli_command_to(&address, &["health"]), SOON)?.success("the health of c")?;
    assert!(asked.contains("is ERROR") && asked.contains("-> check the fan"), "{asked}");

    // A value near the limit changes nothing; a good one clears the fault, once.
    set_temperature(c, 88)?;
    std::thread::sleep(CALM);
    assert_eq!(level(a, "c").as_deref(), Some("error"), "88 °C are less than 5 °C below the limit");
    set_temperature(c, 50)?;
    wait_for_level(a, "c", "ok", CLEARED)?;
    let calm = Instant::now();
    while calm.elapsed() < CALM {
        assert_eq!(level(a, "c").as_deref(), Some("ok"));
        std::thread::sleep(Duration::from_secs(1));
    }
    assert_eq!(changes(c), Some(3), "OK, ERROR, OK");

    // A dead battery is seen as fast.
    set_charge(b, 5)?;
    let dead = wait_for_level(a, "b", "error", FAST)?;
    assert_eq!(dead["findings"][0]["code"], "battery.low");
    set_charge(b, 100)?;
    wait_for_level(d, "b", "ok", CLEARED)?;

    // A robot whose daemon is stopped stays in the table, and comes back.
    d.terminate()?;
    let stopped = wait_for_level(a, "d", "stale", FAST)?;
    assert_eq!(stopped["state"], "stopped");
    d.restart()?;
    wait_for_level(a, "d", "ok", SOON)?;
    Ok(())
}

#[test]
fn a_wrong_rule_is_an_error_that_names_it() -> Result {
    let Some(lab) = or_skip("a wrong rule", Lab::new("rule")) else { return Ok(()) };
    let keys = "[diagnostics.rules.\"temperature.high\"]\nwarn = 95.0\n";
    let mut robot = robot(&lab, "a", "", keys)?;
    let refused = robot.restart().expect_err("a wrong rule").to_string();
    assert!(refused.contains("the rule `temperature.high` is wrong"), "{refused}");
    Ok(())
}
