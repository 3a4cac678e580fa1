//! The records of `dcache` on disk, so that nothing that a peer was told is lost when the power goes.
//!
//! One file, a [redb](https://docs.rs/redb) database, written by one process. Calls block; each write is one durable
//! commit. Records come back without their signatures being verified again, so the file's own checksums stand in for
//! them: every page is checked when the file is opened, and a file that does not pass is set aside (see
//! [`Store::open`]).
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
//! Rows of version 1, in files of format 1, had at offset 1 a time that this node had worked out by itself, unsigned.
//!
//! Table `services`, (text, text) to bytes: small state of services by (namespace, key). A [`Table`] writes compact JSON
//! there.
//!
//! Beside the file stands an empty one with `.lock` added to its name: who holds its lock owns the store.

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
