//! The brain decides which lines to send on which channel, and when.
//!
//! Inputs are events (a line arrived, a channel is up, time passed). Outputs are commands (send, connect, store).
//! Between them there are only the [`dcache::Set`] and a few small tables: no clock, no socket, and no random source
//! other than a seeded one. So a whole swarm can run in one process, and its seed repeats the run.
//!
//! The files. Each of them uses only those below it:
//!
//! | task | files |
//! |---|---|
//! | the whole brain: passes each input to the part that handles it | `brain`, `brain/receive`, `brain/admit`, `brain/routes` |
//! | comparing sets with neighbours, both sides (ALGORITHM.md) | `repair`, `serve`, `steps` |
//! | answers, beacons, pushed records, and lines forwarded for others | `answers`, `beacons`, `push`, `bridge`, `forward` |
//! | the status of this node, the peers that it hears, and how its records and its clock compare with those of its neighbours | `status`, `agreement`, `clocks`, `sightings` |
//! | sending a line: on a channel, along a path, over a link that is opened for it; where other peers may direct it | `sending`, `reach`, `next_hop` |
//! | the state that all parts share: the set, the channels, the neighbours | `node`, `replica`, `channels`, `neighbours`, `paths` |
//! | queues, budgets and timers | `channel`, `outbox`, `budget`, `signer_rates`, `recent`, `trickle`, `history`, `waiting`, `troubles` |
//!
//! # In short
//! - **Inputs**: events of the channels, statements and requests of this node, the time, and a seed.
//! - **Outputs**: commands to the channels, records to write, and the time of the next call.
//! - **Invariants**: `ALGORITHM.md` lists them. The most important: no record is passed on that was not admitted,
//!   a network is never over its capacity, and everything is bounded.
//! - **Start reading** at `ALGORITHM.md`, then `brain.rs` and `node.rs`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod agreement;
mod answers;
mod beacons;
mod brain;
mod bridge;
mod budget;
mod channel;
mod channels;
mod clocks;
mod forward;
mod greeting;
mod history;
mod interface;
mod neighbours;
mod next_hop;
mod node;
mod origin;
mod outbox;
mod paths;
mod push;
mod reach;
mod recent;
mod refusals;
mod repair;
mod replica;
mod sending;
mod serve;
mod sightings;
mod signer_rates;
mod status;
mod steps;
mod trickle;
mod troubles;
mod waiting;

pub use brain::{Brain, Hearing, OtherSwarm};
pub use interface::{Input, Now, Output, Routing, Settings};
pub use sightings::Sighting;

#[cfg(test)]
mod tests;
