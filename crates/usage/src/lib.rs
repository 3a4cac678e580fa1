//! The service for usage statistics: off until consent, weekly, coarse, known values only, without identity.
//!
//! A robot whose owner agrees notes during a week what its report will say. After the week it sends the report to a collector, a peer
//! that an admin names in the bucket `collectors`. The collector counts the values of the report, and keeps neither the report nor
//! its sender. The owner sees exactly the bytes that are sent, and can let a collector delete them.
//!
//! # In short
//! - **Inputs**: the permission file, the answer of the owner, the set, and messages of other robots.
//! - **Outputs**: one report a week to one collector; on a collector, totals.
//! - **Invariants**: without consent nothing is noted, made or sent. A report consists of rows of the table in `fields.rs`. A report is
//!   on the disk before it is sent, so that it can be deleted. Totals show no value of fewer than five robots.
//! - **Start reading** at `fields.rs`, `payload.rs` and `reporter.rs`.

mod collected;
mod collector;
mod consent;
mod faults;
mod fields;
mod hex;
mod observed;
mod payload;
mod protocol;
mod report;
mod reporter;
mod send;
mod settings;
mod shell;
mod status;
mod tally;
mod totals;
mod week;
pub mod wire;

pub use consent::{ConsentSource, OwnerAnswer};
pub use fields::{FIELDS, Field, LIST_VERSION, fields_of};
pub use hex::{Hex32, NotHex};
pub use payload::{MAX_PAYLOAD_BYTES, Payload, PayloadError};
pub use protocol::{Answer, MAX_WEEKS, ReportRow, Request, Status};
pub use report::ReportState;
pub use settings::Settings;
pub use shell::Usage;
pub use totals::{FieldTotals, MIN_COUNT, ValueTotal, WeekTotals};
pub use week::{NotAWeek, Week};
