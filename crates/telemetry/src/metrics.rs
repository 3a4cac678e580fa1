//! The table of metrics.
