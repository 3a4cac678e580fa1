//! The simulator: runs thousands of brains in one process and in virtual time. One seed decides all random choices.
//!
//! A *scenario* (a small TOML file, see [`Scenario`]) names the networks and nodes, the records that are published, and
//! the faults that occur. A run plans all of that by its seed and executes it. Then comes a calm, a time without new
//! records and faults, which lasts until all honest nodes hold the same records. The run fails
//! - if they do not hold the same records by the end of the calm,
//! - if an honest node ever takes, or holds at the end, a record that no node signed,
//! - if an honest node ever sends more on a network than that allows (computed by the simulator, not by the brain's own
//!   code),
//! - if a table of robots shows a node as present that ended longer ago than the lifetime of a presence,
//! - if a node sees a wrong health of another node for longer than its scenario allows, or does not list it,
//! - if a kind of records took longer to reach all nodes than its scenario allows.
//!
//! Signatures are real, and lines have the format of the wire. The environment of a brain behaves as in the daemon. Own
//! records are on the disk before they are sent, and others' are written in groups. A crash loses the records that
//! waited. Clocks are read through [`dcache::Clock`]. The same seed gives the same run to the last event:
//! [`Report::hash`] covers all of them.
//!
//! ```text
//! cargo run --release -p sim -- --seed 7 mixed              one run, printed as tables
//! cargo run --release -p sim -- --seeds 1000 --json mixed   seeds 0 to 999 on all cores, as JSON
//! cargo run --release -p sim -- --seed 7 --trace 3 mixed    every input and output of node 3
//! cargo run --release -p sim -- my.toml                     a scenario of your own
//! ```
//!
//! Start reading at `world` (the time and the events), `plan` (from a scenario to a world), and `check` (the checks at
//! the end). The modules `network` and `link` model the media and count bytes. The module `living` models the
//! environment of a brain, and `liar` models malicious nodes.
//!
//! # In short
//! - **Inputs**: a scenario and a seed.
//! - **Outputs**: a report with figures, and the failures of the run.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod action;
mod budget;
mod calls;
mod carry;
mod check;
mod copies;
mod disk;
mod event;
mod health;
mod ledger;
mod liar;
mod line;
mod link;
mod living;
mod meetings;
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
mod tables;
mod wall;
mod world;

pub use action::Sabotage;
pub use line::{Count, Kind};
pub use reading::{BUILT_IN, ScenarioError};
pub use report::{CopiesSeen, FilesSafe, HealthSeen, Report, Spans, Spread, TablesSeen, Traffic};
pub use scenario::*;
pub use seeds::run_seeds;
pub use world::Options;

use std::sync::Arc;

/// Runs a scenario with one seed, and returns the report.
///
/// # Errors
/// When the scenario is contradictory, such as when it names a network that does not exist.
pub fn run(name: &str, scenario: &Scenario, options: Options) -> Result<Report, ScenarioError> {
    let mut world = plan::world(&Arc::new(scenario.clone()), options)?;
    world.run_until(scenario.duration.0);
    let settled = world.settle();
    Ok(world.report(name, settled))
}
