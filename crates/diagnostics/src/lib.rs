//! The service for diagnostics: a robot measures itself, judges its health, and keeps the history on its disk. It
//! states its health, so that everybody on its networks sees which robot needs help.
//!
//! | task | files |
//! |---|---|
//! | the table of metrics; samples | `metrics`, `sample` |
//! | reading the host: the kernel, text files of programs, dt-device-health | `collect`, `host` |
//! | levels, the table of rules, hysteresis, rules of the configuration | `health` |
//! | the history on the disk, its format, and the times of its samples | `ring`, `file_disk` |
//! | the health in one item; when it is stated | `stated`, `decide`, `allowance` |
//! | the health of all robots | `fleet` |
//! | the history, sealed for collectors | `batch` |
//! | storing the histories of all robots | `collectors` |
//!
//! # In short
//! - **Inputs**: files of the kernel, text files of local programs, answers of dt-device-health, the set, and the time
//!   since the boot.
//! - **Outputs**: samples, a report of the health, statements in the bucket `pri/ID/health`, a file of fixed size.
//! - **Invariants**: a sample has a bounded number of finite values; measuring starts no process. A level near its
//!   limit does not flap. A power cut loses at most the last minute of the history. The health of a robot is stated
//!   within seconds, and the number of statements is bounded.
//! - **Start reading** at `metrics.rs`, then `health.rs`, `decide.rs` and `ring.rs`.

pub mod allowance;
pub mod batch;
pub mod collect;
pub mod collectors;
mod decide;
mod file_disk;
mod fleet;
pub mod health;
mod host;
pub mod metrics;
#[cfg(test)]
mod power_cut;
pub mod ring;
pub mod sample;
pub mod stated;

pub use decide::{DETAIL_PAUSE, HealthAnnouncer};
pub use file_disk::FileDisk;
pub use fleet::{MAX_ROBOTS, ReportState, RobotHealth, fleet};
pub use host::HostRoot;
