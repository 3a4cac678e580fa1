//! Real hosts on one machine, for tests and measurements; never linked into the product.
//!
//! A [`Lab`] is a switch. Each [`Host`] on it is a network namespace that a virtual cable (veth) connects to a bridge.
//! Hosts run real programs: our daemon ([`daemon::Robot`]) and programs of other projects ([`peers`]). A test sets the
//! conditions at run time: rate, loss, a pulled cable. Example of a test:
//!
//! ```no_run
//! use std::time::Duration;
//!
//! #[test]
//! fn a_host_answers() -> lab::Result {
//!     let Some(lab) = lab::or_skip("a_host_answers", lab::Lab::new("answers")) else { return Ok(()) };
//!     let host = lab.host("a")?;
//!     host.limit_rate(50_000_000)?;
//!     let process = host.spawn("hello", host.command("hostname"))?;
//!     process.wait_for_line(|line| !line.is_empty(), Duration::from_secs(5))?;
//!     Ok(())
//! }
//! ```
//!
//! The lab needs root, or an unprivileged user namespace with its own /run; `tools/in-namespace` runs any command in
//! such a namespace. A test never sleeps in the hope that something has happened meanwhile: every wait names the
//! condition and a deadline.
//!
//! # In short
//! - **Inputs**: programs to run, and the conditions on the links.
//! - **Outputs**: what the programs print and use, and counters of the links.
//! - **Start reading** at `lab.rs` and `host.rs`; measurements are in `experiments`.

pub mod daemon;
pub mod experiments;
pub mod peers;
pub mod planted;

mod addresses;
mod clock;
mod delay_network;
mod error;
mod fake_clock;
mod firewall;
mod fleet;
mod forwarding;
mod host;
mod lab;
mod line;
mod line_counter;
mod link;
mod load;
mod memory_limit;
mod network;
mod observer;
mod output;
mod process;
mod programs;
mod proposal;
mod router;
mod sightings;
mod signer;
mod skip;
mod small_disk;
mod sweep;
mod system;
mod tap;
mod tool;
mod usage;
mod wait;

pub use delay_network::{Conditions, DelayNetwork};
pub use error::{Error, Result, Unavailable};
pub use fake_clock::FakeClock;
pub use fleet::{Fleet, hosts};
pub use host::Host;
pub use lab::Lab;
pub use line::{Answer, LINE_PORT, LineClient, ask};
pub use line_counter::{Arrivals, LineCounter};
pub use link::{Link, Traffic};
pub use memory_limit::MemoryLimit;
pub use network::Network;
pub use observer::Observer;
pub use output::{Mark, Stream};
pub use process::{Finished, Process, run};
pub use programs::{Programs, example, programs};
pub use router::{Nat, Router};
pub use sightings::Sightings;
pub use signer::TestSigner;
pub use skip::or_skip;
pub use small_disk::{SmallDisk, allocated_bytes};
pub use sweep::leftovers as sweep_leftovers;
pub use usage::counts_writes;
pub use wait::wait_until;
