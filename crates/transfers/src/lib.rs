//! What comes and goes.
//!
//! A *download* is something that a person ordered: it is on the disk before it is acknowledged, goes on after every restart,
//! and waits for whoever has it for as long as it takes ([`Downloads`]); what it fetched lies in the block store, so nothing
//! is fetched twice. [`run_downloads`] fetches while there is a node. [`Rates`] are the limits that a person set, and
//! [`run_neighbours`] tells the node who is near, so that those who fetch the same give it to each other.

mod book;
mod download;
mod downloads;
mod export;
mod neighbours;
mod outlet;
mod rates;
mod report;
mod runner;
mod turns;

pub use book::BookError;
pub use downloads::Downloads;
pub use neighbours::run_neighbours;
pub use rates::Rates;
pub use runner::{RunnerError, run_downloads};
