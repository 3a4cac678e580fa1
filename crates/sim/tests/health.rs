//! Test that robots see the health of each other while faults come and go, robots stop, and networks are split.

use sim::{Scenario, Seconds, run_seeds};
use std::time::Duration;

/// Number of seeds. The full experiment has 500 robots: `cargo run --release -p sim -- health`.
const SEEDS: u64 = 2;

/// Returns the scenario with a tenth of the robots.
fn with_fewer_robots(mut scenario: Scenario) -> Scenario {
    scenario.starting = Seconds(Duration::ZERO);
    (scenario.lan[0].count, scenario.lan[0].nodes) = (3, 16);
    scenario.health.iter_mut().for_each(|health| health.faults = 60);
    for changes in [&mut scenario.crashes, &mut scenario.departures].into_iter().flatten() {
        changes.times = 12;
    }
    scenario
}

#[test]
fn no_wrong_level_stays_and_no_robot_is_missing_silently() {
    let scenario = with_fewer_robots(Scenario::built_in("health").unwrap());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for report in run_seeds("health", &scenario, (0, SEEDS), threads, |_| {}).unwrap() {
        assert!(report.failures.is_empty(), "seed {}: {}", report.seed, report.failures.join("\n"));
        let health = report.health.unwrap();
        println!("seed {}: {health:?}", report.seed);
        assert!(
            health.read > 500 && health.changes > 60 && health.stale > 100,
            "seed {}: {health:?}",
            report.seed
        );
    }
}
