//! The service for diagnostics: a robot measures itself, judges its health, and keeps the history on its disk.
//!
//! | task | files |
//! |---|---|
//! | the table of metrics; samples | `metrics`, `sample` |
//! | reading the host: the kernel, text files of programs, dt-device-health | `collect`, `host` |

pub mod collect;
mod host;
pub mod metrics;
pub mod sample;

pub use host::HostRoot;
