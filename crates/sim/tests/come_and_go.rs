//! Test that tables of robots are true while robots start, stop and move.

use sim::{Scenario, Seconds, run_seeds};
use std::time::Duration;

/// Number of seeds. The full experiment has a thousand robots: `cargo run --release -p sim -- come-and-go`.
const SEEDS: u64 = 2;
/// Maximum time, in seconds, for which a running robot may be missing from a table. If a record is lost on the mesh, its
/// beacons, at most 60 s apart, show that. The longest time seen with four seeds was 60 s.
const MISSING: f64 = 130.0;

fn seconds(seconds: u64) -> Seconds {
    Seconds(Duration::from_secs(seconds))
}

/// Returns the scenario with a tenth of the robots, for a longer time, and with more statements of each robot.
fn with_fewer_robots(mut scenario: Scenario) -> Scenario {
    (scenario.starting, scenario.duration) = (seconds(0), seconds(2100));
    scenario.presence.iter_mut().for_each(|presence| presence.info = true);
    scenario.lan[0].count = 4;
    scenario.lan[0].nodes = 24;
    (scenario.laptop[0].count, scenario.laptop[0].until) = (4, seconds(2000));
    for changes in [&mut scenario.crashes, &mut scenario.departures].into_iter().flatten() {
        (changes.from, changes.until) = (seconds(60), seconds(1100));
        (changes.times, changes.off) = (30, [seconds(5), seconds(900)]);
    }
    scenario
}

#[test]
fn no_table_shows_a_robot_that_left_longer_ago_than_a_presence_lasts() {
    let scenario = with_fewer_robots(Scenario::built_in("come-and-go").unwrap());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for report in run_seeds("come-and-go", &scenario, (0, SEEDS), threads, |_| {}).unwrap() {
        assert!(report.failures.is_empty(), "seed {}: {}", report.seed, report.failures.join("\n"));
        let tables = report.tables.unwrap();
        println!("seed {}: {tables:?}", report.seed);
        assert!(tables.read > 1000 && tables.missing < MISSING, "seed {}: {tables:?}", report.seed);
        assert!(tables.shown_after_farewell < MISSING, "seed {}: {tables:?}", report.seed);
        assert!(tables.shown_after_end > 60.0, "seed {}: no killed robot was looked at", report.seed);
        let changes = [tables.kills, tables.farewells, tables.moves];
        assert!(tables.starts > report.nodes && !changes.contains(&0), "seed {}: {tables:?}", report.seed);
    }
}
