//! The example service of `docs/add-a-service.md` in real daemons.

use control::Client;
use lab::daemon::Robot;
use lab::{Lab, Result, example, or_skip, wait_until};
use serde_json::{Value, json};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(20);
const CONFIGURATION: &str = "[heartbeat]\nlifetime_seconds = 4\n";

/// Sends a request to the service of this robot's daemon.
fn call(robot: &Robot, request: &Value) -> Option<Value> {
    let mut client = Client::connect(&robot.control_socket(), TIMEOUT).ok()?;
    let frame = json!({ "service": "heartbeat", "request": request });
    serde_json::from_str(client.send(&frame.to_string()).ok()?.get()).ok()
}

fn alive(robot: &Robot) -> usize {
    let answer = call(robot, &json!({ "list": {} })).unwrap_or_default();
    answer["alive"]["peers"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_small_service_runs_in_real_daemons() -> Result {
    let Some(lab) = or_skip("heartbeat", Lab::new("heart")) else {
        return Ok(());
    };
    let daemon = example("dt-swarm", "heartbeat")?;
    let robot = |name: &str, configuration: &str| {
        Ok::<_, lab::Error>(Robot::new(lab.host(name)?, configuration)?.with_daemon(daemon.clone()))
    };
    let mut a = robot("a", CONFIGURATION)?;
    a.restart()?;

    // The job reports its progress until the second robot is there.
    let started = call(&a, &json!({ "await": { "robots": 2 } })).unwrap_or_default();
    let job = started["started"]["job"].clone();
    let status = || call(&a, &json!({ "job": { "job": job } })).unwrap_or_default()["job"].clone();
    wait_until(TIMEOUT, "one of two robots", || {
        (status()["progress"] == json!({ "done": 1, "total": 2 })).then_some(())
    })?;
    let mut b = robot("b", CONFIGURATION)?;
    b.restart()?;
    wait_until(TIMEOUT, "the end of the job", || (status()["state"] == json!({ "done": 2 })).then_some(()))?;
    wait_until(TIMEOUT, "both robots at b", || (alive(&b) == 2).then_some(()))?;

    // The heartbeat is renewed, and the renewals are counted.
    let published = || a.cli(&["stats", "--json"]).ok()?["counters"]["heartbeat.published"].as_u64();
    let before = published().unwrap_or(0);
    wait_until(TIMEOUT, "two renewals", || (published()? >= before + 2).then_some(()))?;

    // A robot without power leaves the list when its heartbeat expires.
    b.kill9()?;
    wait_until(TIMEOUT, "b is gone", || (alive(&a) == 1).then_some(()))?;

    // A misspelt key is an error that names the right key.
    let mut c = robot("c", "[heartbeat]\nlifetime_second = 4\n")?;
    let refused = c.restart().expect_err("a misspelt key").to_string();
    assert!(refused.contains("[heartbeat]") && refused.contains("`lifetime_seconds`?"), "{refused}");
    Ok(())
}
