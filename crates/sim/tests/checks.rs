//! Tests of the simulator itself: the same seed gives the same run, and each check can fail.
#![expect(clippy::expect_used, reason = "a panic fails the test with a message")]

use sim::{Options, Report, Sabotage, Scenario, run};

const SMALL: &str = r#"
about = "Five robots, some records, some loss."
duration = 60
calm = 120

[[lan]]
nodes = 5
loss = 0.1
jitter_ms = 5

[[records]]
name = "logs"
count = 20
from = 5
until = 50
buckets = ["share/files"]
"#;

fn small(text: &str, options: Options) -> Report {
    Scenario::read("small", text)
        .and_then(|scenario| run("small", &scenario, options))
        .expect("the scenario is valid")
}

fn with_seed(seed: u64) -> Report {
    small(SMALL, Options { seed, ..Options::default() })
}

fn spoilt(sabotage: Sabotage) -> String {
    let report = small(SMALL, Options { sabotage: Some(sabotage), ..Options::default() });
    report.failures.join("\n")
}

#[test]
fn a_seed_decides_the_whole_run() {
    let (one, again, other) = (with_seed(1), with_seed(1), with_seed(2));
    assert_eq!(one.failures, Vec::<String>::new());
    assert_eq!(
        (&one.hash, one.events, one.virtual_seconds),
        (&again.hash, again.events, again.virtual_seconds)
    );
    assert_ne!(one.hash, other.hash);
}

#[test]
fn a_seed_decides_a_run_with_nearly_all_kinds_of_faults() {
    let mixed = Scenario::built_in("mixed").unwrap();
    let hash = |seed| run("mixed", &mixed, Options { seed, ..Options::default() }).unwrap().hash;
    assert_eq!(hash(3), hash(3));
}

#[test]
fn a_node_that_lacks_a_record_is_named() {
    let failures = spoilt(Sabotage::Forget);
    assert!(
        failures.contains("nodes 0 and 4 differ (20 and 19 records): only 0 has [share/files"),
        "{failures}"
    );
}

#[test]
fn a_node_that_sends_too_much_is_named() {
    let failures = spoilt(Sabotage::Overdrive);
    assert!(failures.contains("node 0 sent on lan 0 more lines than the channel allows"), "{failures}");
}

#[test]
fn a_forged_record_on_a_disk_is_found() {
    let failures = spoilt(Sabotage::Plant);
    assert!(
        failures.contains("node 0 holds a record that no node signed: share/files \"forged\""),
        "{failures}"
    );
}

#[test]
fn records_that_spread_too_slowly_are_a_failure() {
    let slow = format!("{SMALL}within = 0.001\n");
    let failures = small(&slow, Options::default()).failures.join("\n");
    assert!(failures.contains("a record of \"logs\" took"), "{failures}");
}
