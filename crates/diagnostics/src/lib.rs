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
//! | the health of all robots | `fleet`, `fleet_pages` |
//! | values that programs push; points of the history for a client; the page for Prometheus | `pushed`, `points`, `exposition`, `export` |
//! | metrics for other robots, and questions to them | `remote`, `answering` |
//! | the service: its settings, requests and tasks | `settings`, `protocol`, `monitor`, `shared_monitor`, `device`, `shell` |
//! | the history, sealed for collectors | `batch`, `sealing` |
//! | carrying sealed histories of other robots | `batch::carry`, `carrying`, `batches` |
//! | storing the histories of all robots | `collectors`, `row_store`, `collected`, `collecting` |
//! | sending the stored rows to other databases | `exporting`, `unsettled` |
//!
//! # In short
//! - **Inputs**: files of the kernel, text files of local programs, answers of dt-device-health, the set, and the time
//!   since the boot.
//! - **Outputs**: samples, a report of the health, statements in the bucket `pri/ID/health`, a file of fixed size, answers
//!   to requests, and the page `/metrics`.
//! - **Invariants**: a sample has a bounded number of finite values; measuring starts no process. A level near its
//!   limit does not flap. A power cut loses at most the last minute of the history. The health of a robot is stated
//!   within seconds, and the number of statements is bounded.
//! - **Start reading** at `metrics.rs`, then `health.rs`, `decide.rs`, `ring.rs` and `shell.rs`.

pub mod allowance;
mod answering;
pub mod batch;
mod batches;
mod carrying;
pub mod collect;
mod collected;
mod collecting;
pub mod collectors;
mod decide;
mod device;
mod export;
mod exporting;
pub mod exposition;
mod file_disk;
mod fleet;
mod fleet_pages;
pub mod health;
mod host;
pub mod metrics;
mod monitor;
pub mod points;
#[cfg(test)]
mod power_cut;
pub mod protocol;
mod pushed;
pub mod remote;
pub mod ring;
pub mod row_store;
pub mod sample;
mod sealing;
mod settings;
mod shared_monitor;
mod shell;
pub mod stated;
mod unsettled;

pub use decide::{DETAIL_PAUSE, HealthAnnouncer};
pub use exporting::{ExportFormat, ExportSettings};
pub use file_disk::FileDisk;
pub use fleet::{MAX_ROBOTS, ReportState, RobotHealth, fleet};
pub use host::HostRoot;
pub use settings::Settings;
pub use shell::{Diagnostics, LOOK_EVERY, LOOKS_FOR_SAMPLE};
