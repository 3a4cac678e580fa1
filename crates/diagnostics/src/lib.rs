//! The service for diagnostics: a robot measures itself, judges its health, and keeps the history on its disk.
//!
//! | task | files |
//! |---|---|
//! | the table of metrics; samples | `metrics`, `sample` |
//! | reading the host: the kernel, text files of programs, dt-device-health | `collect`, `host` |
//! | levels, the table of rules, hysteresis, rules of the configuration | `health` |

pub mod collect;
pub mod health;
mod host;
pub mod metrics;
pub mod sample;

pub use host::HostRoot;
