//! Tests that the swarm keeps a number of copies of each file: no last copy is let go of, missing copies are replaced,
//! and short absences copy nothing.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use sim::{CopiesSeen, Scenario, run_seeds};

/// Number of seeds. The full experiments are `cargo run --release -p sim -- --seeds 1000 copies` and the same with
/// `short-absences`.
const SEEDS: u64 = 4;

fn run(name: &str) -> Vec<CopiesSeen> {
    let scenario = Scenario::built_in(name).unwrap();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let reports = run_seeds(name, &scenario, (0, SEEDS), threads, |_| {}).unwrap();
    let seen = reports.into_iter().map(|report| {
        assert!(
            report.failures.is_empty(),
            "{}\nagain: cargo run --release -p sim -- --seed {} {name}",
            report.failures.join("\n"),
            report.seed
        );
        report.copies.unwrap()
    });
    seen.collect()
}

#[test]
fn no_last_copy_is_let_go_of_and_missing_copies_are_replaced() {
    for seen in run("copies") {
        println!("{seen:?}");
        assert!(seen.fetched_bytes > seen.first_bytes, "two holders were killed, so copies were made");
        assert!(seen.released > 0 && seen.fewest_left.is_some_and(|left| left > 0));
    }
}

#[test]
fn short_absences_copy_nothing() {
    for seen in run("short-absences") {
        println!("{seen:?}");
    }
}
