//! Test of a slow channel that one class floods: records with which peers and logs are found cross it in time.

use sim::{Scenario, run_seeds};

const SEEDS: u64 = 16;

#[test]
fn news_of_robots_and_logs_cross_a_slow_channel_in_time_beside_a_flood() {
    let scenario = Scenario::built_in("irc-only").unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let reports = run_seeds("irc-only", &scenario, (0, SEEDS), threads, |_| {}).unwrap();
    for report in &reports {
        assert!(
            report.failures.is_empty(),
            "{}\nagain: cargo run --release -p sim -- --seed {} irc-only",
            report.failures.join("\n"),
            report.seed
        );
    }
    assert_eq!(reports.len() as u64, SEEDS);
}
