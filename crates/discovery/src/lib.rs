//! The service for discovery: what this node states about itself, so that others find it by name and address.
//!
//! The pure [`Announcer`] decides what to state; the service [`Discovery`] runs it with the daemon's facts.

mod claims;
mod copied;
mod decide;
mod shell;

pub use claims::{Claim, claims};
pub use decide::Announcer;
pub use shell::{Discovery, Request, Settings};
