//! Runs a scenario with many seeds, on all cores.

use crate::{Options, Report, Scenario, ScenarioError, run};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Runs a scenario with `count` seeds, beginning with `first`, on this many threads. Calls `told` with each report when
/// its run ends. Returns the reports in the order of their seeds.
///
/// # Errors
/// When the scenario is contradictory.
pub fn run_seeds(
    name: &str,
    scenario: &Scenario,
    (first, count): (u64, u64),
    threads: usize,
    told: impl Fn(&Report) + Sync,
) -> Result<Vec<Report>, ScenarioError> {
    let (next, ended) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            let report = run(name, scenario, Options { seed: first + number, ..Options::default() });
            if let Ok(report) = &report {
                told(report);
            }
            ended.lock().unwrap_or_else(PoisonError::into_inner).push((number, report));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads.max(1) {
            scope.spawn(work);
        }
    });
    let mut ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
    ended.sort_by_key(|(number, _)| *number);
    ended.into_iter().map(|(_, report)| report).collect()
}
