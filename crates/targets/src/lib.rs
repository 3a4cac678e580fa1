//! The rule for every address that another peer named: whether this node contacts it at all ([`check`]), and how often
//! ([`Targets`]).
//!
//! Anyone can write any address into a record or a line. Without this rule, a few lines of a stranger would make all
//! robots of a class connect to a host that never asked for it, or to services of the robots themselves. Addresses that
//! the owner of this node configured are exempt.
//!
//! # In short
//! - **Inputs**: addresses that other peers name, and the time.
//! - **Outputs**: whether an address may be contacted, and whether it may be contacted now.
//! - **Invariants**: there is a budget for each host, for each network, and for all targets together; a host that never
//!   answered is contacted rarely, no matter which peer names it.
//! - **Start reading** at `check.rs`, then `targets.rs`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod check;
mod targets;
mod tokens;

pub use check::{Unfit, check};
pub use targets::{REACHED, Targets, UNPROVEN};
pub use tokens::{Allowance, Tokens};
