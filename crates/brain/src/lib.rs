//! The brain: what to say on which channel, and when.
//!
//! Inputs are what happens (an envelope came, a channel is up, time passed), outputs are what to do (send, connect,
//! keep). In between there is nothing but the [`dcache::Set`] and a few small tables: no clock, no socket, no random
//! source but a seeded one. So a whole swarm can be run in one process and repeated by its seed.
//!
//! Its habits, each in its file:
//! - `push`: a new record goes to every channel but the one that brought it; on a broadcast medium, where a
//!   datagram may get lost, its maker says it again a little later.
//! - `answer`: a `ping` gets a pong, a `req` every live record that matches, then a pong; long answers go out in
//!   portions, as fast as the channel takes them.
//! - `beacons`, `repair` and `serve`: nodes show in short what they hold, and compare where that differs (ALGORITHM.md).
//! - `forward` and `paths`: lines for others are passed on, and chains of channels are used as one.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod answer;
mod beacons;
mod brain;
mod budget;
mod channel;
mod forward;
mod history;
mod interface;
mod neighbours;
mod outbox;
mod paths;
mod push;
mod receive;
mod repair;
mod serve;
mod trickle;
mod troubles;

pub use brain::Brain;
pub use interface::{Input, Now, Output, Routing, Settings};

#[cfg(test)]
mod tests;
