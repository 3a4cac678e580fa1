//! The service for discovery: a node makes statements about itself, so that other nodes find it by name and address.
//!
//! The pure decider [`Announcer`] decides which statements to make; the service [`Discovery`] runs it with the daemon's
//! facts.

mod claims;
mod copied;
mod decide;
mod shell;

pub use claims::{Claim, claims};
pub use decide::Announcer;
pub use shell::{Discovery, Request, Settings};
