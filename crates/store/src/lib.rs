//! Durable storage of the records of `dcache`: no record that a peer has received is lost in a power cut.
//!
//! The store is one file, a [redb](https://docs.rs/redb) database, written by one process. Calls block; each write is
//! one durable commit. The signatures of loaded records are not verified again, so the checksums of the file must
//! detect damage instead. Every page is checked when the file is opened. A file with a wrong checksum is set aside (see
//! [`Store::open`]).
//!
//! # Format, version 2
//! Table `meta`, text to number (u64):
//!
//! | key | value |
//! |---|---|
//! | `format` | 2. A file with a lower number is migrated to this format in one commit; one with a higher number is set aside unread |
//! | `sequence` | the last sequence number that this node has used; absent before its first record |
//! | `signed_for` | the swarm in which all records were signed, as a mark of its ID; absent if it has no ID, all bits set if the records are of several swarms |
//! | `time` | a time that has passed, as far as the node knew (seconds since the Unix epoch): the floor for a clock without battery |
//!
//! Table `records`, 32 bytes to bytes. The key is the SHA-256 of these parts: the signer's public key (32 bytes), the
//! bucket's path with its names joined by `/`, one zero byte (which no path contains), and the item's data. The value,
//! with numbers in big-endian:
//!
//! | offset | bytes | content |
//! |---:|---:|---|
//! | 0 | 1 | version of the row: 2 |
//! | 1 | 8 | time until which the signer wants it to be kept at least (seconds since the Unix epoch); 0: no longer than its validity; all bits set: without an end |
//! | 9 | 8 | sequence number of the signature |
//! | 17 | 64 | Ed25519 signature |
//! | 81 | 32 | Ed25519 public key of the signer |
//! | 113 | up to 4096 | payload: the JSON text that was signed |
//!
//! Rows of version 1, in files of format 1, had an unsigned time at offset 1, which this node had computed by itself.
//!
//! Table `services`, (text, text) to bytes: small amounts of data of services, by namespace and key. A [`Table`] writes
//! compact JSON there.
//!
//! Next to the file there is an empty one whose name has `.lock` added. The process that holds its lock owns the store.
//!
//! # In short
//! - **Inputs**: verified records, and small tables of services.
//! - **Outputs**: the records and tables that were written before.
//! - **Invariants**: a write is one durable commit; a damaged file is set aside and never replaced silently.
//! - **Start reading** at `store.rs`, then `open.rs` and `table.rs`.

mod error;
#[cfg(test)]
mod healing_tests;
mod migrate;
mod open;
#[cfg(test)]
mod power_cut;
mod row;
mod services;
mod set_aside;
mod store;
mod table;

#[cfg(any(test, feature = "fault-injection"))]
pub use database::{Fault, Faults};
pub use error::{OpenError, ReadError, WriteError};
pub use open::Opened;
#[doc(hidden)]
pub use row::reread_row;
pub use services::{MAX_SERVICE_KEY_BYTES, MAX_SERVICE_VALUE_BYTES};
pub use set_aside::MAX_BROKEN_FILES;
pub use store::{Batch, Loaded, MAX_BROKEN_ROWS_NAMED, Store};
pub use table::{Displayed, Rows, Table, TableError, TableKey};
