//! The records of `dcache` on disk, so that no record that a peer received is lost when the power fails.
//!
//! The store is one file, a [redb](https://docs.rs/redb) database, written by one process. Calls block, and each write is one
//! durable commit. Records that are read back are not verified again, so checksums replace the verification: every page is
//! checked when the file is opened, and a file with a wrong page is set aside (see [`Store::open`]).
//!
//! # Format, version 2
//! Table `meta`, text to number (u64):
//!
//! | key | value |
//! |---|---|
//! | `format` | 2. A file with a lower number is brought to this format in one commit; one with a higher number is set aside unread |
//! | `sequence` | the last sequence number that this node has used; absent before its first record |
//! | `signed_for` | the swarm in which all records were signed, as a mark of its ID; absent when it has none, all bits set when the records are of several swarms |
//! | `time` | a time that has passed, as far as the node could tell (seconds since the Unix epoch): the floor for a clock without battery |
//!
//! Table `records`, 32 bytes to bytes. The key is SHA-256 of: the signer's public key (32 bytes), the bucket's path
//! with its names joined by `/`, one zero byte (no path holds one), the item's data. The value, numbers big-endian:
//!
//! | offset | bytes | what |
//! |---:|---:|---|
//! | 0 | 1 | version of the row: 2 |
//! | 1 | 8 | until when its signer wants it to be kept at least (seconds since the Unix epoch); 0: no longer than its validity; all bits set: for ever |
//! | 9 | 8 | sequence number of the signature |
//! | 17 | 64 | Ed25519 signature |
//! | 81 | 32 | Ed25519 public key of the signer |
//! | 113 | up to 4096 | payload: the JSON text that was signed |
//!
//! Rows of version 1, in files of format 1, had an unsigned time at offset 1, computed by this node itself.
//!
//! Table `services`, (text, text) to bytes: small state of services by (namespace, key). A [`Table`] writes compact JSON
//! there.
//!
//! Beside the file is an empty file with `.lock` added to its name. The process that holds its lock owns the store.
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
