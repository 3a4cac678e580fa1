//! Test with fifty robots, nearly all kinds of faults, and forty seeds: in the end, all robots hold the same
//! records.

use sim::{Scenario, run_seeds};

const SEEDS: u64 = 40;

#[test]
fn all_nodes_hold_the_same_records_in_the_end() {
    let scenario = Scenario::built_in("mixed").unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let reports = run_seeds("mixed", &scenario, (0, SEEDS), threads, |_| {}).unwrap();
    for report in &reports {
        assert!(
            report.failures.is_empty(),
            "{}\nagain: cargo run --release -p sim -- --seed {} mixed",
            report.failures.join("\n"),
            report.seed
        );
        assert!(report.records > 90, "only {} records with seed {}", report.records, report.seed);
    }
    assert_eq!(reports.len() as u64, SEEDS);
}
