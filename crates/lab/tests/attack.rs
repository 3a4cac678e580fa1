//! One attacker on the LAN of a few robots, in a small form. The full form is `lab attack`.

mod options;

use std::time::Duration;

use lab::experiments::{Attack, Means, attack};
use lab::{Error, Lab, Result, or_skip};

/// Limits for a machine with two cores on which other tests run at the same time. They are many times the promised
/// ones.
const WORST_PING: Duration = Duration::from_secs(2);
const RECORD: Duration = Duration::from_secs(10);
const FILE: Duration = Duration::from_secs(30);
const GROWN: u64 = 40_000_000;

fn run(only: &str) -> Result {
    let Some(lab) = or_skip("attack", Lab::new("attacked")) else {
        return Ok(());
    };
    drop(lab);
    let arguments = ["--robots", "3", "--seconds", "6", "--patience", "30", "--only", only];
    let attacked = attack(&options::options::<Attack>(&arguments))?;
    for outcome in attacked.outcomes() {
        println!("{outcome}");
        let failed = || Error::Answer { what: outcome.means().to_string(), answer: outcome.to_string() };
        let within = |time: Option<Duration>, limit| time.filter(|time| *time <= limit).ok_or_else(failed);
        within(outcome.worst_ping(), WORST_PING)?;
        within(outcome.record(), RECORD)?;
        within(outcome.file(), FILE)?;
        outcome.grown_bytes().filter(|bytes| *bytes <= GROWN).ok_or_else(failed)?;
    }
    Ok(())
}

#[test]
fn robots_without_an_attacker_answer() -> Result {
    run("quiet")
}

#[test]
fn robots_answer_while_one_key_renews_its_records_endlessly() -> Result {
    run("renewals")
}

#[test]
fn robots_answer_while_an_attacker_directs_them_at_a_victim() -> Result {
    run("victim")
}

#[test]
fn every_attack_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<String> =
        Means::ALL.iter().map(|means| means.to_string()).collect();
    assert_eq!(names.len(), Means::ALL.len());
}
