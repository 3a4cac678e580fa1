//! Configuration: flags, then environment, then the file, then what suits a robot.

use clap::Parser;
use control::{Limit, Limits, Places};
use routing::{Address, Rule};
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

const MIB: u64 = 1024 * 1024;
/// Where all meet on IPFS pubsub (IPSD).
const PUBSUB_TOPIC: &str = "duckiebots";
/// Where the gateway is: for programs on this computer only.
const GATEWAY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 6080);

/// Makes this computer part of the swarm: what is put into the shared folder is shared, and kept by the others.
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = "RUST_LOG chooses what is logged, for example RUST_LOG=debug.")]
pub(crate) struct Arguments {
    /// The configuration file [default: dt-swarm/config.toml in $XDG_CONFIG_HOME, when it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Where this node keeps its identity and what it knows [default: dt-swarm in $XDG_DATA_HOME]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// The folder whose files are shared [default: ~/shared-logs]
    #[arg(long, value_name = "DIR", env = "DSWARM_DIR_STORAGE")]
    pub(crate) shared: Option<PathBuf>,
    /// Where blocks of files are kept [default: ipfs in the data folder]
    #[arg(long, value_name = "DIR", env = "DSWARM_DIR_IPFS")]
    pub(crate) ipfs_dir: Option<PathBuf>,
    /// The swarm file, which says who has which role [default: dt-swarm/swarm.toml in $XDG_CONFIG_HOME, when it is there]
    #[arg(long, value_name = "FILE")]
    pub(crate) swarm: Option<PathBuf>,
    /// Where dt-swarm-cli reaches this daemon [default: dt-swarm/control.sock in $XDG_RUNTIME_DIR, else in the data folder]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Share this robot's own logs, but keep none of others
    #[arg(long)]
    pub(crate) low_power: bool,
}

/// The configuration file. Every key may be left out; unknown ones are an error, so that a slip of the pen shows.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    data_dir: Option<PathBuf>,
    shared_folder: Option<PathBuf>,
    ipfs_dir: Option<PathBuf>,
    swarm_file: Option<PathBuf>,
    control_socket: Option<PathBuf>,
    hostname: Option<String>,
    interfaces: Option<Vec<String>>,
    udp_port: Option<u16>,
    tcp_port: Option<u16>,
    ipfs_port: Option<u16>,
    keep_others: Option<bool>,
    max_file_mib: Option<u64>,
    store_max_mib: Option<u64>,
    disk_free_mib: Option<u64>,
    lan_up: Option<Limit>,
    lan_down: Option<Limit>,
    wan_up: Option<Limit>,
    wan_down: Option<Limit>,
    settle_seconds: Option<u64>,
    rescan_seconds: Option<u64>,
    peers: Option<Vec<Address>>,
    routes: Option<Vec<Rule>>,
    forward: Option<bool>,
    pubsub_topic: Option<String>,
    gateway: Option<Listen>,
}

/// An address to listen on, or `off`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(try_from = "String")]
struct Listen(Option<SocketAddr>);

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text == "off" {
            return Ok(Self(None));
        }
        let address = text.parse().map_err(|_| {
            format!("{text:?} is no address to listen on: write it as {GATEWAY}, or \"off\" for none")
        });
        Ok(Self(Some(address?)))
    }
}

/// Everything that was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) shared_folder: PathBuf,
    pub(crate) ipfs_dir: PathBuf,
    pub(crate) swarm_file: PathBuf,
    /// Whether somebody named it: then it has to be there.
    pub(crate) is_swarm_file_named: bool,
    pub(crate) control_socket: PathBuf,
    pub(crate) hostname: String,
    /// Patterns of interface names; empty for all that are fit.
    pub(crate) interfaces: Vec<String>,
    pub(crate) udp_port: u16,
    pub(crate) tcp_port: u16,
    pub(crate) ipfs_port: u16,
    pub(crate) keep_others: bool,
    pub(crate) max_file_bytes: u64,
    pub(crate) store_max_bytes: u64,
    pub(crate) disk_free_bytes: u64,
    /// How fast files may come and go, unless `limit` said otherwise since.
    pub(crate) limits: Limits,
    pub(crate) settle_seconds: u64,
    pub(crate) rescan_seconds: u64,
    /// Whom to reach beside those on the same networks.
    pub(crate) peers: Vec<Address>,
    pub(crate) routes: Vec<Rule>,
    pub(crate) forward: bool,
    /// Empty for none.
    pub(crate) pubsub_topic: String,
    /// Where the IPFS gateway listens; none when it is off.
    pub(crate) gateway: Option<SocketAddr>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the configuration file {0} cannot be read: {1}")]
    Read(PathBuf, std::io::Error),
    #[error("the configuration file {0} is wrong: {1}")]
    Wrong(PathBuf, Box<toml::de::Error>),
    #[error("there is no home folder: set HOME, or name the folders with --data-dir and --shared")]
    NoHome,
}

/// What the environment says.
#[derive(Clone, Debug, Default)]
pub(crate) struct Environment {
    pub(crate) places: Places,
    pub(crate) hostname: String,
}

impl Environment {
    /// That of this process.
    pub(crate) fn current() -> Self {
        let hostname = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { places: Places::current(), hostname }
    }

    /// The path, with its `~` made the home.
    fn expand(&self, path: PathBuf) -> PathBuf {
        match (path.strip_prefix("~"), &self.places.home) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => path,
        }
    }
}

impl Config {
    /// Decides from everything that was said.
    pub(crate) fn load(arguments: &Arguments, environment: &Environment) -> Result<Self, ConfigError> {
        let file = read_file(arguments, environment)?;
        Self::decide(arguments, file, environment)
    }

    fn decide(arguments: &Arguments, file: File, environment: &Environment) -> Result<Self, ConfigError> {
        let expand = |path: PathBuf| environment.expand(path);
        let places = &environment.places;
        let data_dir = arguments.data_dir.clone().or(file.data_dir.map(expand));
        let data_dir = data_dir.or_else(|| places.data()).ok_or(ConfigError::NoHome)?;
        let shared_folder = arguments.shared.clone().or(file.shared_folder.map(expand));
        let in_home = || places.home.as_ref().map(|home| home.join("shared-logs"));
        let shared_folder = shared_folder.or_else(in_home).ok_or(ConfigError::NoHome)?;
        let ipfs_dir = arguments.ipfs_dir.clone().or(file.ipfs_dir.map(expand));
        let swarm_file = arguments.swarm.clone().or(file.swarm_file.map(expand));
        let control_socket = arguments.socket.clone().or(file.control_socket.map(expand));
        Ok(Self {
            ipfs_dir: ipfs_dir.unwrap_or_else(|| data_dir.join("ipfs")),
            is_swarm_file_named: swarm_file.is_some(),
            swarm_file: swarm_file
                .or_else(|| places.swarm_file())
                .unwrap_or_else(|| data_dir.join("swarm.toml")),
            control_socket: control_socket.unwrap_or_else(|| places.socket(&data_dir)),
            data_dir,
            shared_folder,
            hostname: file.hostname.unwrap_or_else(|| environment.hostname.clone()),
            interfaces: file.interfaces.unwrap_or_default(),
            udp_port: file.udp_port.unwrap_or(1240),
            tcp_port: file.tcp_port.unwrap_or(8000),
            ipfs_port: file.ipfs_port.unwrap_or(6002),
            keep_others: file.keep_others.unwrap_or(true) && !arguments.low_power,
            max_file_bytes: file.max_file_mib.unwrap_or(4096).saturating_mul(MIB),
            store_max_bytes: file.store_max_mib.unwrap_or(8192).saturating_mul(MIB),
            disk_free_bytes: file.disk_free_mib.unwrap_or(1024).saturating_mul(MIB),
            limits: Limits {
                lan_up: file.lan_up.unwrap_or_default(),
                lan_down: file.lan_down.unwrap_or_default(),
                wan_up: file.wan_up.unwrap_or_default(),
                wan_down: file.wan_down.unwrap_or_default(),
            },
            settle_seconds: file.settle_seconds.unwrap_or(2),
            rescan_seconds: file.rescan_seconds.unwrap_or(60).max(1),
            peers: file.peers.unwrap_or_default(),
            routes: file.routes.unwrap_or_default(),
            forward: file.forward.unwrap_or(true),
            pubsub_topic: file.pubsub_topic.unwrap_or_else(|| PUBSUB_TOPIC.to_owned()),
            gateway: file.gateway.map_or(Some(GATEWAY), |listen| listen.0),
        })
    }
}

fn read_file(arguments: &Arguments, environment: &Environment) -> Result<File, ConfigError> {
    if let Some(named) = &arguments.config {
        return parse_file(named);
    }
    match environment.places.config().map(|folder| folder.join("config.toml")) {
        Some(usual) if usual.exists() => parse_file(&usual),
        _ => Ok(File::default()),
    }
}

fn parse_file(path: &Path) -> Result<File, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read(path.to_owned(), error))?;
    toml::from_str(&text).map_err(|error| ConfigError::Wrong(path.to_owned(), Box::new(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        let places = Places { home: Some("/home/duckie".into()), ..Places::default() };
        Environment { places, hostname: "duckie".to_owned() }
    }

    fn decide(flags: &[&str], file: &str) -> Result<Config, ConfigError> {
        let arguments = Arguments::parse_from([&["dt-swarm"], flags].concat());
        Config::decide(&arguments, toml::from_str(file).unwrap(), &environment())
    }

    #[test]
    fn nothing_needs_to_be_configured() {
        let config = decide(&[], "").unwrap();
        assert_eq!(config.data_dir, Path::new("/home/duckie/.local/share/dt-swarm"));
        assert_eq!(config.shared_folder, Path::new("/home/duckie/shared-logs"));
        assert_eq!(config.ipfs_dir, config.data_dir.join("ipfs"));
        assert_eq!((config.udp_port, config.tcp_port, config.ipfs_port), (1240, 8000, 6002));
        assert_eq!(config.hostname, "duckie");
        assert_eq!(config.swarm_file, Path::new("/home/duckie/.config/dt-swarm/swarm.toml"));
        assert!(!config.is_swarm_file_named);
        assert_eq!(config.control_socket, config.data_dir.join("control.sock"));
    }

    #[test]
    fn the_swarm_file_and_the_socket_can_be_named() {
        let file = "swarm_file = '~/class.toml'\ncontrol_socket = '/run/dt-swarm.sock'";
        let config = decide(&[], file).unwrap();
        assert_eq!(config.swarm_file, Path::new("/home/duckie/class.toml"));
        assert!(config.is_swarm_file_named);
        assert_eq!(config.control_socket, Path::new("/run/dt-swarm.sock"));
        let config = decide(&["--swarm", "a.toml", "--socket", "b.sock"], file).unwrap();
        assert_eq!((config.swarm_file, config.control_socket), ("a.toml".into(), "b.sock".into()));
    }

    #[test]
    fn peers_and_routes_are_checked_when_they_are_read() {
        let config = decide(
            &[],
            "peers = ['/ip4/10.0.0.7/tcp/8000/dswarm-line']\nroutes = ['/ipfs => /ipfs-pubsub/x/dswarm-line/$0']\nforward = false",
        );
        let config = config.unwrap();
        assert_eq!((config.peers.len(), config.routes.len(), config.forward), (1, 1, false));
        assert_eq!(config.pubsub_topic, "duckiebots");
        let wrong = toml::from_str::<File>("peers = ['/ip4/10.0.0.777/tcp/8000/dswarm-line']").unwrap_err();
        assert!(wrong.to_string().contains("10.0.0.777"), "{wrong}");
    }

    #[test]
    fn the_gateway_is_for_this_computer_unless_somebody_says_otherwise() {
        let gateway = |file: &str| decide(&[], file).unwrap().gateway.map(|at| at.to_string());
        assert_eq!(gateway("").as_deref(), Some("127.0.0.1:6080"));
        assert_eq!(gateway("gateway = '[::]:80'").as_deref(), Some("[::]:80"));
        assert_eq!(gateway("gateway = 'off'"), None);
        let wrong = toml::from_str::<File>("gateway = 'localhost'").unwrap_err().to_string();
        assert!(wrong.contains("127.0.0.1:6080") && wrong.contains("off"), "{wrong}");
    }

    #[test]
    fn limits_are_read_as_people_write_them() {
        let limits = decide(&[], "wan_up = '500kB'\nlan_down = '80Mbit'").unwrap().limits;
        assert_eq!((limits.wan_up, limits.lan_down), (Limit::Rate(500_000), Limit::Rate(10_000_000)));
        assert_eq!((limits.wan_down, limits.lan_up), (Limit::Default, Limit::Default));
        let wrong = toml::from_str::<File>("wan_up = '5kB'").unwrap_err().to_string();
        assert!(wrong.contains("at least 10 kB"), "{wrong}");
    }

    #[test]
    fn flags_win_over_the_file() {
        let config = decide(
            &["--data-dir", "/a", "--low-power"],
            "data_dir = '/b'\nshared_folder = '~/logs'\nkeep_others = true",
        );
        let config = config.unwrap();
        assert_eq!(config.data_dir, Path::new("/a"));
        assert_eq!(config.shared_folder, Path::new("/home/duckie/logs"));
        assert!(!config.keep_others);
    }

    #[test]
    fn a_slip_of_the_pen_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "tpc_port = 1\n").unwrap();
        let arguments = Arguments::parse_from(["dt-swarm".as_ref(), "--config".as_ref(), path.as_os_str()]);
        let error = Config::load(&arguments, &environment()).unwrap_err().to_string();
        assert!(error.contains("tpc_port") && error.contains("config.toml"), "{error}");
    }

    #[test]
    fn without_a_home_the_way_out_is_named() {
        let arguments = Arguments::parse_from(["dt-swarm"]);
        let error = Config::decide(&arguments, File::default(), &Environment::default()).unwrap_err();
        assert!(error.to_string().contains("--data-dir"));
    }
}
