//! Test that the robots of a class that is switched on soon list each other.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use sim::{Scenario, run_seeds};

/// Number of seeds. The full experiment is `cargo run --release -p sim -- --seeds 60 join-20`.
const SEEDS: u64 = 6;

fn lists_all_in_time(name: &str) {
    let scenario = Scenario::built_in(name).unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for report in run_seeds(name, &scenario, (0, SEEDS), threads, |_| {}).unwrap() {
        assert!(report.meetings.is_some_and(|met| met.worst.is_some()), "{:?}", report.meetings);
        assert!(
            report.failures.is_empty(),
            "{}\nagain: cargo run --release -p sim -- --seed {} {name}",
            report.failures.join("\n"),
            report.seed
        );
    }
}

#[test]
fn twenty_robots_that_start_within_a_second_list_each_other() {
    lists_all_in_time("join-20");
}

#[test]
fn twenty_robots_list_each_other_although_a_fifth_of_all_datagrams_is_lost() {
    lists_all_in_time("join-20-loss");
}
