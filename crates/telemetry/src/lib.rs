//! The metrics and faults of a daemon: one table of metrics, one table of faults.
//! Also makes text of others safe for terminals and logs.
//!
//! Code identifies a metric or a fault by its row in the table, never by its text. The human-readable texts are in the
//! tables.
//!
//! # In short
//! - **Inputs**: rows of the tables, and values.
//! - **Outputs**: counters by name, and sentences for people.
//! - **Invariants**: a malformed row of a table does not compile; a code of a fault never changes after its
//!   release.
//! - **Start reading** at `metrics.rs` and `faults.rs`.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod check;
mod fault;
pub mod faults;
pub mod metrics;
mod text;

#[doc(hidden)]
pub use check::is_sorted_table;
pub use fault::{Fault, FaultReport};
pub use metrics::{Counters, Metric, MetricKind};
pub use text::{clean, is_dangerous};
