//! Robots without dt-swarm: their DNS-SD facts, and their answers on UDP port 11411.

use std::net::IpAddr;
use std::time::Duration;

/// What is known about a robot that was found without dt-swarm. Its texts come from other hosts and are bounded when
/// they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForeignRobot {
    /// The host name.
    pub name: String,
    /// Type, configuration and hardware, as the robot states them.
    pub robot_type: Option<String>,
    /// See [`Self::robot_type`].
    pub configuration: Option<String>,
    /// See [`Self::robot_type`].
    pub hardware: Option<String>,
    /// `Ready` or `Booting`; `None` if the robot only answered a ping.
    pub status: Option<String>,
    /// Address of the robot, if it is known.
    pub address: Option<IpAddr>,
    /// Whether the facts come from an answer to a ping, and not from DNS-SD.
    pub is_by_ping: bool,
    /// Time since the robot was last heard.
    pub age: Duration,
}
