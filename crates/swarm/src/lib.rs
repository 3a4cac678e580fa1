//! The running brain: connects the pure brain with the clocks, the channels, the disk and the key.
//!
//! The brain itself is pure. This crate gives it the parts that it must not have: the clocks, the channels, a store on
//! the disk, and the key with which this node signs. The brain itself only has a [`dcache::Prover`], which signs random
//! challenges and nothing else. One task, [`Driver::run`], owns all of them. Services hold a
//! [`Swarm`], with which they read the set, publish statements, and receive changes.
//!
//! Two rules concern the disk. Records of this node are on its disk before any peer receives them, so that the node
//! never contradicts itself after a power failure. Records of other signers are written in groups, at most two seconds
//! after they came, and their renewals at most 20 minutes after. They can be fetched again, and SD cards wear out.
//!
//! # In short
//! - **Inputs**: statements of services, events of channels, records of the store, and the clock.
//! - **Outputs**: signed records, commands to the channels, and changes to services.
//! - **Start reading** at `driver.rs`, then `handle.rs`.

mod copies;
mod driver;
mod handle;
pub mod identity_protocol;
pub mod protocol;
mod record_signer;
mod refusals;
mod renewals;
pub mod route_protocol;
mod system_clock;
mod write_behind;

pub use driver::{Driver, DriverError, Setup};
pub use handle::{SayError, Stopped, Swarm};
pub use system_clock::{is_system_clock_set, system_clock};
