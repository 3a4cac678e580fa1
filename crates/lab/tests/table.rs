//! The table of robots of real daemons: who is here, and who has left.

use control::Client;
use lab::daemon::Robot;
use lab::{Lab, Result, or_skip, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const TIMEOUT: Duration = Duration::from_secs(20);
/// Maximum time until the others see that a daemon was stopped. It is far shorter than a presence.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Returns the rows of the table of this robot.
fn table(robot: &Robot) -> Vec<Value> {
    let call = || -> Option<Value> {
        let mut client = Client::connect(&robot.control_socket(), TIMEOUT).ok()?;
        let frame = json!({ "service": "discovery", "request": { "robots": {} } });
        serde_json::from_str(client.send(&frame.to_string()).ok()?.get()).ok()
    };
    call().unwrap_or_default()["robots"]["robots"].as_array().cloned().unwrap_or_default()
}

/// Returns the place of the other robot in the table of this robot.
fn place_of_other(robot: &Robot) -> Option<String> {
    let rows = table(robot);
    let other = rows.iter().find(|row| row["is_me"] == json!(false))?;
    Some(other["place"].as_str()?.to_owned())
}

#[test]
fn a_robot_that_is_stopped_leaves_the_table_at_once_and_comes_back_when_it_starts() -> Result {
    let Some(lab) = or_skip("table", Lab::new("table")) else {
        return Ok(());
    };
    let mut a = Robot::new(lab.host("a")?, "")?;
    let mut b = Robot::new(lab.host("b")?, "")?;
    a.restart()?;
    b.restart()?;
    let is_here = |robot: &Robot| (place_of_other(robot)? == "here").then_some(());
    wait_until(TIMEOUT, "b in the table of a", || is_here(&a))?;
    wait_until(TIMEOUT, "a in the table of b", || is_here(&b))?;
    let rows = table(&a);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert_eq!(rows[0]["is_me"], json!(true), "{rows:?}");
    let other = &rows[1];
    assert_eq!(other["name"]["value"], json!("b"), "{other}");
    assert!(other["boot"]["value"].is_string() && other["version"]["value"].is_string(), "{other}");
    assert!(!other["heard"].as_array().is_none_or(Vec::is_empty), "{other}");
    assert!(!other["addresses"].as_array().is_none_or(Vec::is_empty), "{other}");

    let begun = Instant::now();
    assert!(b.terminate()?.success());
    let stopped_after = begun.elapsed();
    let is_away = || (place_of_other(&a)? == "away").then_some(());
    wait_until(AT_ONCE, "b is away in the table of a", is_away)?;
    println!("b stopped after {stopped_after:?}, and was away in the table of a after {:?}", begun.elapsed());

    b.restart()?;
    wait_until(TIMEOUT, "b is back in the table of a", || is_here(&a))?;
    Ok(())
}
