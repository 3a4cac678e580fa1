//! The running brain.
//!
//! The brain itself is pure. Here it is given what it must not have: the clocks, the channels, a place on the disk and
//! the key with which this node signs. One task, [`Driver::run`], owns all of it; services hold a [`Swarm`], with which
//! they read the set, say something, and hear what changes.
//!
//! Two rules about the disk: what this node says is on its disk before anybody hears it, so that a pulled plug never
//! makes it contradict itself; what others say is written in groups, at the latest two seconds after it came, since
//! it can be had again and SD cards wear out.

mod copies;
mod driver;
mod handle;
pub mod protocol;
mod record_signer;
mod refusals;
mod renewals;
pub mod route_protocol;
mod write_behind;

pub use driver::{Driver, DriverError, Setup, system_clock};
pub use handle::{SayError, Stopped, Swarm};
