//! The service for discovery: a node makes statements about itself, so that other nodes find it by name and address.
//!
//! The pure decider [`Announcer`] decides which statements to make; the service [`Discovery`] runs it with the daemon's
//! facts.
//!
//! # In short
//! - **Inputs**: facts about the node (name, version, addresses), the set, and the time.
//! - **Outputs**: statements in the buckets `peer` and `pri/ID`.
//! - **Invariants**: a statement is renewed at half of its lifetime and withdrawn when it is untrue; statements that
//!   another host makes with the same key are not withdrawn.
//! - **Start reading** at `decide.rs`.

mod claims;
mod copied;
mod decide;
mod directory;
pub mod doctor;
mod foreign;
pub mod protocol;
mod shell;

pub use claims::{Claim, claims};
pub use decide::Announcer;
pub use directory::Sighting;
pub use foreign::ForeignRobot;
pub use shell::{Discovery, Settings};
