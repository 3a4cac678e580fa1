//! The rule for every address that another peer named: whether this node contacts it at all ([`check`]), and how often
//! ([`Targets`]).
//!
//! Anyone can write any address into a record or a line. Without this rule, a few lines of a stranger would make all
//! robots of a class connect to a host that never asked for it, or to services of the robots themselves. Addresses that
//! the owner of this node configured are exempt.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod check;
mod targets;
mod tokens;

pub use check::{Unfit, check};
pub use targets::{REACHED, Targets, UNPROVEN};
pub use tokens::{Allowance, Tokens};
