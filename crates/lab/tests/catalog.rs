//! More files than the swarm keeps records of one robot: all robots list them from the catalogue of that robot.

use lab::daemon::Robot;
use lab::experiments::{Catalog, catalog};
use lab::{Lab, Result, or_skip, wait_until};
use serde_json::Value;
use std::time::Duration;

mod options;
use options::options;

/// Number of files of the first robot. It makes single records about at most 256 of them.
const FILES: usize = 600;
/// Maximum time until a catalogue is published, fetched and read.
const READ: Duration = Duration::from_secs(180);

#[test]
fn every_robot_lists_more_files_than_one_robot_has_records_for() -> Result {
    let Some(lab) = or_skip("catalog", Lab::new("catalog")) else {
        return Ok(());
    };
    let arguments =
        ["--robots=3", "--files=640", "--of-one=600", "--limit=240", "--settle=1", "--idle=1", "--copies=1"];
    let catalogued = catalog(&lab, &options::<Catalog>(&arguments))?;
    catalogued.print();
    Ok(())
}

#[test]
fn a_file_of_a_catalogue_stays_listed_after_a_restart_without_network_and_is_fetched_by_its_name() -> Result {
    let Some(lab) = or_skip("catalog", Lab::new("catalog-get")) else {
        return Ok(());
    };
    let configuration = "[logs]\ncopies = 1\n";
    let first = Robot::new(lab.host("first")?, configuration)?;
    for number in 0..FILES {
        let name = format!("run{number:04}.log");
        first.share(&name, format!("the log {name}\n").as_bytes())?;
    }
    let mut first = first;
    first.restart()?;
    let mut second = Robot::start_on(lab.host("second")?, configuration)?;
    wait_until(READ, "the second robot lists all files", || lists_all(&second))?;
    // The daemon writes records of others at most two seconds later, and when it is stopped. The catalogue itself is on the
    // disk before its files are listed.
    first.kill9()?;
    second.terminate()?;
    second.restart()?;
    wait_until(READ, "all files are listed after a restart", || lists_all(&second))?;
    first.restart()?;
    // The oldest files have no records, since the newest ones come first.
    let copy = second.home().join("copy.log").display().to_string();
    let get = || second.cli(&["get", "run0000.log", "-o", &copy, "--json"]).ok();
    wait_until(READ, "a file is fetched from the first robot", get)?;
    assert_eq!(second.cli(&["log", "run0000.log", "--json"])?["state"], Value::from("shared"));
    Ok(())
}

/// Returns whether a robot lists all files.
fn lists_all(robot: &Robot) -> Option<()> {
    let answer = robot.cli(&["report", "--limit", "1", "--json"]).ok()?;
    (answer["shared_files"].as_u64()? >= FILES as u64).then_some(())
}
