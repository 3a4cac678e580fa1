//! The brain: what to send on which channel, and when.
//!
//! Inputs are what happens (a line came, a channel is up, time passed). Outputs are what to do (send, connect, store). In
//! between there is nothing but the [`dcache::Set`] and a few small tables: no clock, no socket, no random source but a
//! seeded one. So a whole swarm can be run in one process and repeated by its seed.
//!
//! The files, each of which uses only those below it:
//!
//! | what | files |
//! |---|---|
//! | the parts together, and which of them takes which input | `brain`, `brain/receive`, `brain/admit`, `brain/routes` |
//! | comparing sets with neighbours, both sides (ALGORITHM.md) | `repair`, `serve`, `steps` |
//! | answers, beacons, pushed records, and lines forwarded for others | `answers`, `beacons`, `push`, `forward` |
//! | what this node says about itself, and how it compares with its neighbours, also by its clock | `status`, `agreement`, `clocks` |
//! | sending a line: on a channel, along a path, by a link to be opened, and where others may make it go | `sending`, `reach`, `next_hop` |
//! | what all parts share: the set, the channels, the neighbours | `node`, `replica`, `channels`, `neighbours`, `paths` |
//! | queues, budgets and timers | `channel`, `outbox`, `budget`, `signer_rates`, `trickle`, `history`, `waiting`, `troubles` |
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod agreement;
mod answers;
mod beacons;
mod brain;
mod budget;
mod channel;
mod channels;
mod clocks;
mod forward;
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
mod refusals;
mod repair;
mod replica;
mod sending;
mod serve;
mod signer_rates;
mod status;
mod steps;
mod trickle;
mod troubles;
mod waiting;

pub use brain::Brain;
pub use interface::{Input, Now, Output, Routing, Settings};

#[cfg(test)]
mod tests;
