//! Test that a slow channel is shared: a repair of many records does not delay those with which robots and logs are found.

use sim::{Scenario, run_seeds};

/// Number of seeds. The full experiment is `cargo run --release -p sim -- --seeds 100 irc-only`.
const SEEDS: u64 = 4;

#[test]
fn presence_and_logs_overtake_a_flood_of_other_records_on_a_chat_channel() {
    let scenario = Scenario::built_in("irc-only").unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for report in run_seeds("irc-only", &scenario, (0, SEEDS), threads, |_| {}).unwrap() {
        assert!(
            report.failures.is_empty(),
            "{}\nagain: cargo run --release -p sim -- --seed {} irc-only",
            report.failures.join("\n"),
            report.seed
        );
    }
}
