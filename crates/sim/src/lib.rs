//! The simulator: thousands of brains in one process and in virtual time, one seed deciding all.
//!
//! A *scenario* (a small TOML file, see [`Scenario`]) says what networks and nodes there are, what is said, and what goes
//! wrong. A run plans all of that by its seed, lets it happen, then lets a calm pass until all honest nodes hold the
//! same records, and fails
//! - if they do not by the end of the calm,
//! - if any of them ever takes, or holds at the end, a record that nobody signed,
//! - if one ever sends more on a network than that allows (computed here once more, not by the brain's own code),
//! - if a sort of records took longer to all than its scenario allows.
//!
//! Signatures are real, lines are those of the wire, and what surrounds a brain is done as the daemon does it: own records
//! are on the disk before they are sent, others' get there in groups, a crash loses what waited, clocks are read through
//! [`dcache::Clock`]. The same seed gives the same run to the last event: [`Report::hash`] is over all of them.
//!
//! ```text
//! cargo run --release -p sim -- --seed 7 mixed              one run, as a table
//! cargo run --release -p sim -- --seeds 1000 --json mixed   seeds 0 to 999 on all cores, as JSON
//! cargo run --release -p sim -- --seed 7 --trace 3 mixed    every input and output of node 3
//! cargo run --release -p sim -- my.toml                     a scenario of one's own
//! ```
//!
//! Where to begin reading: `world` (the time and what happens), `plan` (from a scenario to a world), `check` (what must
//! hold). `network` and `link` say how media behave and what bytes are counted; `living` is what surrounds a brain;
//! `liar` are those who mean ill.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod action;
mod budget;
mod calls;
mod carry;
mod check;
mod disk;
mod event;
mod ledger;
mod liar;
mod line;
mod link;
mod living;
mod network;
mod node;
mod plan;
mod reading;
mod report;
mod sabotage;
mod safety;
mod scenario;
mod seeds;
mod services;
mod wall;
mod world;

pub use action::Sabotage;
pub use line::{Count, Kind};
pub use reading::{BUILT_IN, ScenarioError};
pub use report::{FilesSafe, Report, Spans, Spread, Traffic};
pub use scenario::*;
pub use seeds::run_seeds;
pub use world::Options;

use std::sync::Arc;

/// Runs a scenario.
///
/// # Errors
/// When it says something that cannot be, such as a network that there is not.
pub fn run(name: &str, scenario: &Scenario, options: Options) -> Result<Report, ScenarioError> {
    let mut world = plan::world(&Arc::new(scenario.clone()), options)?;
    world.run_until(scenario.duration.0);
    let settled = world.settle();
    Ok(world.report(name, settled))
}
