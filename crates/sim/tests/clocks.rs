//! Tests that robots whose clocks differ share logs as fast as robots whose clocks agree.
#![expect(clippy::expect_used, reason = "a panic fails the test with a message")]

use sim::{FilesSafe, Options, Scenario, Seconds, run};
use std::time::Duration;

/// Number of seeds per test. The full experiment is `cargo run --release -p sim -- --seeds 100 skewed-clocks`.
const SEEDS: u64 = 3;
/// Maximum delay, in seconds, by which a file may become safe later than with equal clocks. Grouping of records and
/// random choices alone may cause it.
const NOISE: f64 = 3.0;

/// Runs the scenario after `change` has changed it, and returns the figures of its files.
fn safe_files(seed: u64, change: impl Fn(&mut Scenario)) -> FilesSafe {
    let mut scenario = Scenario::built_in("skewed-clocks").expect("the scenario is built in");
    change(&mut scenario);
    let options = Options { seed, ..Options::default() };
    let report = run("skewed-clocks", &scenario, options).expect("the scenario can be run");
    assert!(report.failures.is_empty(), "seed {seed}: {}", report.failures.join("\n"));
    report.files.expect("the scenario shares files")
}

fn with_clocks(scenario: &mut Scenario, off: u64, unset: usize) {
    let clocks = scenario.clocks.as_mut().expect("the scenario sets clocks");
    (clocks.off, clocks.unset) = (Seconds(Duration::from_secs(off)), unset);
}

#[test]
fn clocks_spread_over_twenty_minutes_with_one_in_1970_cause_no_delay() {
    for seed in 0..SEEDS {
        let skewed = safe_files(seed, |_| ());
        let equal = safe_files(seed, |scenario| with_clocks(scenario, 0, 0));
        println!("seed {seed}: with equal clocks {equal:?}, with clocks spread over 20 min {skewed:?}");
        assert_eq!((skewed.count, skewed.complete), (22, 22));
        let (worst, usual) = (skewed.time.worst.unwrap(), equal.time.worst.unwrap());
        assert!(worst < usual + NOISE, "seed {seed}: {worst:.1} s, with equal clocks {usual:.1} s");
    }
}

#[test]
fn a_robot_whose_clock_is_hours_behind_uses_the_clocks_of_its_neighbours() {
    let behind = |scenario: &mut Scenario| {
        with_clocks(scenario, 0, 0);
        scenario.clocks.as_mut().expect("the scenario sets clocks").last_ahead = -3 * 3600;
    };
    let (skewed, equal) = (safe_files(1, behind), safe_files(1, |scenario| with_clocks(scenario, 0, 0)));
    println!("equal clocks {equal:?}, one 3 h behind {skewed:?}");
    assert_eq!(skewed.complete, 22);
    assert!(skewed.time.worst.unwrap() < equal.time.worst.unwrap() + NOISE);
}

#[test]
fn two_robots_whose_clocks_are_hours_apart_share_as_fast() {
    for ahead in [-3, 3] {
        let two = |scenario: &mut Scenario| {
            with_clocks(scenario, 0, 0);
            scenario.lan[0].nodes = 2;
        };
        let equal = safe_files(1, two);
        let skewed = safe_files(1, |scenario| {
            two(scenario);
            scenario.clocks.as_mut().expect("the scenario sets clocks").last_ahead = ahead * 3600;
        });
        println!("two robots: equal clocks {equal:?}, one ahead by {ahead} h {skewed:?}");
        assert_eq!(skewed.complete, 22);
        assert!(skewed.time.worst.unwrap() < equal.time.worst.unwrap() + NOISE);
    }
}
