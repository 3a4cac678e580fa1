//! A [redb](https://docs.rs/redb) database in one file, which reopens itself after an I/O error.
//!
//! After one I/O error, redb refuses every call until the database is opened again. The storage card of a robot can be full
//! until a user deletes logs. [`Connection`] therefore reopens the database on the next call after an error.
//!
//! With the feature `fault-injection`, tests can make the operations of a disk fail ([`Faults`]). They can also simulate
//! the content of a file after a power cut ([`SimulatedDisk`]).
//!
//! # In short
//! - **Inputs**: the path and settings of a database ([`Location`]), and the transactions of a caller.
//! - **Outputs**: the results of the transactions, or the error of the disk.
//! - **Invariants**: an error of the disk does not outlast the disk's failure; a file is locked by one process.
//! - **Start reading** at `connection.rs`.

mod connection;
#[cfg(any(test, feature = "fault-injection"))]
mod faults;
mod folder;
#[cfg(any(test, feature = "fault-injection"))]
mod journal;
mod location;
#[cfg(any(test, feature = "fault-injection"))]
mod power_cut;
#[cfg(test)]
mod tests;

pub use connection::Connection;
#[cfg(any(test, feature = "fault-injection"))]
pub use faults::{Fault, Faults};
pub use folder::{is_out_of_space, parent_folder, sync_folder};
#[cfg(any(test, feature = "fault-injection"))]
pub use journal::{Journal, Operation};
pub use location::{Location, Settings};
#[cfg(any(test, feature = "fault-injection"))]
pub use power_cut::{SimulatedDisk, Survives};
