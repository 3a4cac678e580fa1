//! The table of robots: merges records, sightings on channels, and robots without dt-swarm.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::PeerId;
use std::net::SocketAddr;
use std::time::Duration;

/// A robot with dt-swarm that was heard on a channel of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The robot.
    pub peer: PeerId,
    /// Name of the channel.
    pub channel: String,
    /// Address from which its lines came, if the channel has one.
    pub address: Option<SocketAddr>,
    /// Time since it was last heard there.
    pub age: Duration,
}
