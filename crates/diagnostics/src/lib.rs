//! The service for diagnostics: a robot measures itself, judges its health, and keeps the history on its disk.
//!
//! | task | files |
//! |---|---|
//! | the table of metrics; samples | `metrics`, `sample` |
//! | reading the host: the kernel, text files of programs, dt-device-health | `collect`, `host` |
//! | levels, the table of rules, hysteresis, rules of the configuration | `health` |
//! | the history on the disk, its format, and the times of its samples | `ring`, `file_disk` |

pub mod collect;
mod file_disk;
pub mod health;
mod host;
pub mod metrics;
#[cfg(test)]
mod power_cut;
pub mod ring;
pub mod sample;

pub use file_disk::FileDisk;
pub use host::HostRoot;
