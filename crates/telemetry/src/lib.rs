//! What a daemon counts and what can go wrong with it: one table of metrics, one table of faults.
//!
//! Code identifies a metric or a fault by its row, never by a sentence. The sentences for people stand in the tables.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod faults;
pub mod metrics;

pub use metrics::{Counters, Metric, MetricKind};
