//! The keys at the top of the configuration file, with their defaults.

use routing::{Address, Rule};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Default address of the gateway. Only programs on this computer can reach it.
const GATEWAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6080);

/// The keys at the top of the configuration file. The comments are the text of docs/configuration.md, which adds the
/// default values. A comment names the default only if the daemon computes it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct File {
    /// Folder for this node's identity and for its records. Default: `dt-swarm` in `$XDG_DATA_HOME`, or
    /// `~/.local/share/dt-swarm` when this variable is not set.
    pub(super) data_dir: Option<PathBuf>,
    /// Folder of the stored blocks of files. Default: `ipfs` in the data folder.
    pub(super) ipfs_dir: Option<PathBuf>,
    /// Swarm file, which defines the swarm of this node and its roots. If this key names a file that does not exist,
    /// the daemon does not start. Default: `dt-swarm/swarm.toml` in `$XDG_CONFIG_HOME` or `~/.config`, if it exists.
    pub(super) swarm_file: Option<PathBuf>,
    /// Unix socket on which the daemon accepts commands of `dt-swarm-cli`. Default: `dt-swarm/control.sock` in
    /// `$XDG_RUNTIME_DIR`, or `control.sock` in the data folder when this variable is not set.
    pub(super) control_socket: Option<PathBuf>,
    /// Name of this robot, which other peers see. Default: the environment variable `VEHICLE_NAME`, or the current name of
    /// the host.
    pub(super) hostname: Option<String>,
    /// File with the ID of this computer. When the ID differs from that of the last start, `doctor` asks whether the data
    /// folder was copied. In a container, name the file of the host, or an empty text for no comparison.
    pub(super) machine_id_file: PathBuf,
    /// Patterns for the names of network interfaces to use, such as `["wlan*"]`. An empty list selects all interfaces
    /// except virtual ones, such as bridges and tunnels. If the swarm needs virtual interfaces, name them here.
    pub(super) interfaces: Vec<String>,
    /// UDP port for broadcasts and multicast. All robots of a swarm need the same port.
    pub(super) udp_port: u16,
    /// TCP port of the line protocol, which peers and `dt-swarm-cli` use.
    pub(super) tcp_port: u16,
    /// Port for IPFS connections over TCP and QUIC.
    pub(super) ipfs_port: u16,
    /// Maximum size, in MiB, of the stored blocks of files.
    pub(super) store_max_mib: u64,
    /// Disk space, in MiB, that must stay free for other programs. If less space is free, the daemon stores no new
    /// blocks.
    pub(super) disk_free_mib: u64,
    /// Addresses of peers outside the local networks, such as `/dns4/swarm.example.org/tcp/8000/dswarm-line`. Other
    /// kinds of addresses are UDP hosts, IRC channels, IPFS nodes, and chains of addresses.
    pub(super) peers: Vec<Address>,
    /// Rules that rewrite addresses, in the form `PATTERN => TEMPLATE`. The command `route add` of `dt-swarm-cli` takes
    /// the same form.
    pub(super) routes: Vec<Rule>,
    /// Whether this node forwards lines between other nodes.
    pub(super) forward: bool,
    /// Whether this node is a relay: robots behind NAT are reached through it. Set it on a host with a public address
    /// that the swarm file or `peers` of the robots name. With a swarm file, only robots and holders of a role of that
    /// swarm may use the relay; without one, everybody may.
    pub(super) relay: bool,
    /// Whether the daemon asks the router of the network to forward the TCP port of IPFS to this host (UPnP). Other
    /// robots then reach this one without a relay. Ask the owner of the network before you set it.
    pub(super) upnp: bool,
    /// Topic of IPFS pubsub on which the nodes of the swarm meet. An empty text means no topic.
    pub(super) pubsub_topic: String,
    /// Address and port at which the read-only IPFS gateway listens, or `off` for no gateway.
    pub(super) gateway: Listen,
}

impl Default for File {
    fn default() -> Self {
        Self {
            data_dir: None,
            ipfs_dir: None,
            swarm_file: None,
            control_socket: None,
            hostname: None,
            machine_id_file: PathBuf::from("/etc/machine-id"),
            interfaces: Vec::new(),
            udp_port: 1240,
            tcp_port: 8000,
            ipfs_port: 6002,
            store_max_mib: 8192,
            disk_free_mib: 1024,
            peers: Vec::new(),
            routes: Vec::new(),
            forward: true,
            relay: false,
            upnp: false,
            // The topic of IPSD.
            pubsub_topic: "duckiebots".to_owned(),
            gateway: Listen(Some(GATEWAY)),
        }
    }
}

/// An address to listen on, or `off`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Listen(pub(super) Option<SocketAddr>);

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "off" {
            return Ok(Self(None));
        }
        let address = text.parse().map_err(|_| {
            format!("{text:?} is no address to listen on: write it like {GATEWAY}, or write \"off\" for no listener")
        });
        Ok(Self(Some(address?)))
    }
}

impl From<Listen> for String {
    fn from(listen: Listen) -> Self {
        listen.0.map_or_else(|| "off".to_owned(), |address| address.to_string())
    }
}
