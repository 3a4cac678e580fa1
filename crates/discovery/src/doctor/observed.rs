//! The observations of `doctor`: plain data, from which the checks judge.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::Settings;
use crate::page::PageAnswer;
use dcache::PeerId;
use ipfs::node::Outside;
use routing::{Reach, Trouble};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use telemetry::FaultReport;

/// Everything that `doctor` observed. `None` and empty lists mean that a fact is not known.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Observed {
    /// Time since the daemon started.
    pub(crate) uptime: Duration,
    /// Number of hosts whose clocks could be compared with the clock of this host.
    pub(crate) clocks: usize,
    /// Whether this host has a clock that runs while it is switched off.
    pub(crate) has_battery_clock: Option<bool>,
    /// Present faults that the daemon knows.
    pub(crate) troubles: Vec<Trouble>,
    /// Channels that are up.
    pub(crate) channels: Vec<Channel>,
    /// Peers that were heard on each channel.
    pub(crate) neighbours: Vec<Neighbour>,
    /// Time since the first ping of this run was sent; `None` if none was sent.
    pub(crate) pinged: Option<Duration>,
    /// Host of a swarm with another key, and the time since it was heard.
    pub(crate) other_key: Option<OtherHost>,
    /// Host that sends records of another swarm, and the time since it was heard.
    pub(crate) other_records: Option<OtherHost>,
    /// Networks to which the interfaces of this host lead.
    pub(crate) networks: Option<Vec<LinkNetwork>>,
    /// Whether this host has a route to hosts outside its own networks.
    pub(crate) has_default_route: Option<bool>,
    /// How other networks see the IPFS node of this host.
    pub(crate) outside: Outside,
    /// Addresses at which this host accepts lines.
    pub(crate) own_addresses: Vec<IpAddr>,
    /// Configured name servers.
    pub(crate) name_servers: Option<Vec<NameServer>>,
    /// Answer of the page with which captive portals are found, or why there is none. `None` if it was not asked for.
    pub(crate) portal_probe: Option<Result<PageAnswer, String>>,
    /// The data folder.
    pub(crate) data: Option<DataFolder>,
    /// The shared folder.
    pub(crate) shared: Option<SharedFolder>,
    /// Memory of this host in bytes: available, and in total.
    pub(crate) memory: Option<(u64, u64)>,
    /// Programs that hold the port of multicast DNS.
    pub(crate) responders: Option<Vec<Responder>>,
    /// Host name of this robot.
    pub(crate) hostname: String,
    /// The settings of the service.
    pub(crate) settings: Option<Settings>,
    /// Whether this robot is in the open swarm.
    pub(crate) is_open_swarm: bool,
    /// Whether the swarm of this robot has a key.
    pub(crate) has_key: bool,
    /// Questions that the owner of this robot has not answered yet.
    pub(crate) questions: Vec<FaultReport>,
    /// The other robots that are present.
    pub(crate) present: Vec<Present>,
    /// The robot whose path is checked.
    pub(crate) target: Option<Target>,
}

/// A channel that is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Channel {
    /// Name of the channel.
    pub(crate) name: String,
    /// Which peers receive its lines; `None` for the sum of all temporary links.
    pub(crate) reach: Option<Reach>,
}

/// A peer that was heard on a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Neighbour {
    /// The peer that was heard.
    pub(crate) peer: PeerId,
    /// Name of the channel.
    pub(crate) channel: String,
    /// Which peers receive the lines of the channel.
    pub(crate) reach: Reach,
    /// Time since it was last heard there.
    pub(crate) heard: Duration,
    /// Time since it last answered a ping there.
    pub(crate) answered: Option<Duration>,
}

/// A host of another swarm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OtherHost {
    /// Its address, if it is known.
    pub(crate) address: Option<IpAddr>,
    /// Time since it was heard.
    pub(crate) age: Duration,
}

/// An IPv4 network to which an interface leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinkNetwork {
    /// Name of the interface.
    pub(crate) interface: String,
    /// Address of the network.
    pub(crate) network: Ipv4Addr,
    /// Netmask of the network.
    pub(crate) netmask: Ipv4Addr,
    /// Whether the interface is a radio.
    pub(crate) is_wireless: bool,
}

impl LinkNetwork {
    /// Returns whether a host is on the network.
    pub(crate) fn contains(&self, host: IpAddr) -> bool {
        matches!(host.to_canonical(), IpAddr::V4(host) if host & self.netmask == self.network)
    }

    /// Returns the network with the length of its netmask, such as `10.77.0.0/24`.
    pub(crate) fn show(&self) -> String {
        format!("{}/{}", self.network, self.netmask.to_bits().count_ones())
    }
}

/// A configured name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NameServer {
    /// Address of the server.
    pub(crate) address: IpAddr,
    /// Whether it answers; `None` if this host has no route to it.
    pub(crate) answers: Option<bool>,
    /// Address that it gives for a name that cannot exist.
    pub(crate) invented: Option<Ipv4Addr>,
}

/// The data folder and its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DataFolder {
    /// Path of the folder.
    pub(crate) path: String,
    /// Path of the folder or key file that other users of this host can access, if there is one.
    pub(crate) open_path: Option<String>,
    /// Free bytes of its disk.
    pub(crate) free: Option<u64>,
    /// Free bytes that the daemon leaves for other programs.
    pub(crate) reserve: Option<u64>,
    /// Why no block can be stored.
    pub(crate) refusal: Option<String>,
    /// Time of a small synced write, or the reason why it failed; `None` if it was not tried or did not end.
    pub(crate) write: Option<Result<Duration, String>>,
}

/// The shared folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SharedFolder {
    /// Path of the folder.
    pub(crate) path: String,
    /// Why it cannot be read.
    pub(crate) error: Option<String>,
}

/// A program that holds the port of multicast DNS.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Responder {
    /// Process ID, if this user may know it.
    pub(crate) process: Option<u32>,
    /// Name of the program, if this user may know it.
    pub(crate) name: Option<String>,
    /// User of the program.
    pub(crate) user: u32,
}

/// Another robot that is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Present {
    /// The robot in question.
    pub(crate) peer: PeerId,
    /// The host name that it states.
    pub(crate) name: Option<String>,
    /// Time since it last stated its presence.
    pub(crate) stated: Duration,
    /// Addresses at which it accepts lines.
    pub(crate) lines: Vec<SocketAddr>,
    /// Result of connecting to one of these addresses; `None` if it was not tried.
    pub(crate) reached: Option<bool>,
}

impl Present {
    /// Returns the name of the robot, or the end of its peer ID if it states no name.
    pub(crate) fn show(&self) -> String {
        shown(self.peer, self.name.as_deref())
    }
}

/// The robot whose path is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// The robot in question.
    pub(crate) peer: PeerId,
    /// The host name that it states.
    pub(crate) name: Option<String>,
    /// Whether it is this robot.
    pub(crate) is_me: bool,
    /// Time since it last stated its presence; `None` if it is not present.
    pub(crate) stated: Option<Duration>,
    /// Addresses at which it states to accept lines, with the answer there.
    pub(crate) lines: Vec<(SocketAddr, Reply)>,
    /// Addresses at which it states to accept IPFS connections over TCP, and whether a connection was accepted.
    pub(crate) ipfs: Vec<(SocketAddr, bool)>,
    /// The open IPFS connection with it, which proves its identity, or why there is none.
    pub(crate) connection: Result<String, String>,
}

/// The answer at an address that a robot stated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Nothing: no connection was accepted.
    #[default]
    None,
    /// A host accepts connections. Any host may.
    Unproven,
    /// The robot: it proved that it has the key of its peer ID.
    Proven,
}

impl Target {
    /// Returns whether the robot proved its identity in this run of `doctor`.
    pub(crate) fn is_proven(&self) -> bool {
        self.connection.is_ok() || self.lines.iter().any(|(_, reply)| *reply == Reply::Proven)
    }
}

/// Returns a name with the end of the peer ID. The beginning of the ID is the same for all peers.
pub(crate) fn shown(peer: PeerId, name: Option<&str>) -> String {
    let id = peer.to_string();
    let end = &id[id.len().saturating_sub(6)..];
    match name {
        Some(name) => format!("{name} (…{end})"),
        None => format!("…{end}"),
    }
}
