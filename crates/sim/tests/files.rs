//! Test that two classrooms share all logs although many faults occur: every file becomes safe at every robot.

use sim::{Scenario, run_seeds};

/// Number of seeds. The full experiment is `cargo run --release -p sim -- --seeds 100 files`.
const SEEDS: u64 = 10;

#[test]
fn every_shared_file_becomes_safe_everywhere() {
    let scenario = Scenario::built_in("files").unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    for report in run_seeds("files", &scenario, (0, SEEDS), threads, |_| {}).unwrap() {
        assert!(
            report.failures.is_empty(),
            "{}\nagain: cargo run --release -p sim -- --seed {} files",
            report.failures.join("\n"),
            report.seed
        );
        // Each file has a record of each holder, and a description. Each robot has a name and addresses.
        assert!(report.records > 16 * 24, "only {} records with seed {}", report.records, report.seed);
    }
}
