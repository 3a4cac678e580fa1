//! The service for diagnostics: a robot measures itself, judges its health, and keeps the history on its disk.
//!
//! | task | files |
//! |---|---|
//! | the table of metrics; samples | `metrics`, `sample` |

pub mod metrics;
pub mod sample;
