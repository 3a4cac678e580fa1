//! The configuration. Flags override the environment, the environment overrides the file, and the file overrides the
//! defaults.
//!
//! Each service has a section in the file. In earlier versions, some keys of services were at the top of the file. They
//! are still accepted there.

mod file;

pub(crate) use file::File;

use crate::hostname;
use clap::Parser;
use routing::{Address, Rule};
use service::{Environment, Registration, SettingsError, nearest, parse_settings};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Environment variable in which Duckietown containers get the name of the robot.
const VEHICLE_NAME: &str = "VEHICLE_NAME";
const MIB: u64 = 1024 * 1024;

/// Keys of services that are also read at the top of the file, and the sections to which they belong.
pub(crate) const MOVED: [(&str, &str); 9] = [
    ("shared_folder", "logs"),
    ("keep_others", "logs"),
    ("max_file_mib", "logs"),
    ("settle_seconds", "logs"),
    ("rescan_seconds", "logs"),
    ("lan_up", "transfers"),
    ("lan_down", "transfers"),
    ("wan_up", "transfers"),
    ("wan_down", "transfers"),
];

/// Makes this computer part of the swarm: shares the files in the shared folder, and keeps copies of files of other
/// robots.
///
/// No option is needed. Once the daemon runs, `dt-swarm-cli localhost report` lists the shared files.
#[derive(Clone, Debug, Parser)]
#[command(version, after_help = "RUST_LOG sets the log level, for example RUST_LOG=debug.")]
pub(crate) struct Arguments {
    /// Configuration file [default: dt-swarm/config.toml in $XDG_CONFIG_HOME, if it exists]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder for the identity and the records of this node [default: dt-swarm in $XDG_DATA_HOME]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Folder whose files are shared [default: ~/shared-logs]
    #[arg(long, value_name = "DIR", env = "DSWARM_DIR_STORAGE")]
    pub(crate) shared: Option<PathBuf>,
    /// Folder for the blocks of files [default: ipfs in the data folder]
    #[arg(long, value_name = "DIR", env = "DSWARM_DIR_IPFS")]
    pub(crate) ipfs_dir: Option<PathBuf>,
    /// Swarm file, which names the roots of the swarm [default: dt-swarm/swarm.toml in $XDG_CONFIG_HOME, if it exists]
    #[arg(long, value_name = "FILE")]
    pub(crate) swarm: Option<PathBuf>,
    /// Control socket for dt-swarm-cli [default: dt-swarm/control.sock in $XDG_RUNTIME_DIR, or control.sock in the data
    /// folder]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Shares the files of this robot, but keeps no files of other robots
    #[arg(long)]
    pub(crate) low_power: bool,
}

/// The configuration in effect, with defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Config {
    pub(crate) data_dir: PathBuf,
    pub(crate) ipfs_dir: PathBuf,
    pub(crate) swarm_file: PathBuf,
    /// Whether a flag or the configuration file names the swarm file. If so, the file must exist.
    pub(crate) is_swarm_file_named: bool,
    pub(crate) control_socket: PathBuf,
    pub(crate) hostname: String,
    /// Whether the configuration file or [`VEHICLE_NAME`] sets the host name. If so, renaming the host has no effect on it.
    pub(crate) is_hostname_named: bool,
    /// File with the ID of this computer; an empty path if machines are not compared.
    pub(crate) machine_id_file: PathBuf,
    /// Patterns of the names of network interfaces to use. If empty, all suitable interfaces are used.
    pub(crate) interfaces: Vec<String>,
    pub(crate) udp_port: u16,
    pub(crate) tcp_port: u16,
    pub(crate) ipfs_port: u16,
    pub(crate) store_max_bytes: u64,
    pub(crate) disk_free_bytes: u64,
    /// Addresses of peers to reach beyond the local networks.
    pub(crate) peers: Vec<Address>,
    pub(crate) routes: Vec<Rule>,
    pub(crate) forward: bool,
    /// Whether this node is a relay for robots behind NAT.
    pub(crate) relay: bool,
    /// Whether the router is asked to forward a port.
    pub(crate) upnp: bool,
    /// Topic of IPFS pubsub where peers meet. If empty, no topic is used.
    pub(crate) pubsub_topic: String,
    /// Address at which the IPFS gateway listens; `None` when it is off.
    pub(crate) gateway: Option<SocketAddr>,
    /// Sections of the services, by the names of the services.
    pub(crate) sections: BTreeMap<String, Table>,
}

/// Reason why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("the configuration file {0} cannot be read: {1}")]
    Read(PathBuf, #[source] std::io::Error),
    #[error("the configuration file {0} is wrong: {1}")]
    Syntax(PathBuf, #[source] Box<toml::de::Error>),
    #[error("{}: {error}", .file.display())]
    In {
        file: PathBuf,
        #[source]
        error: Box<ConfigError>,
    },
    #[error("the configuration is wrong: {0}")]
    Value(#[from] SettingsError),
    #[error("the configuration file has an unknown key or section, `{key}`{}", suggestion(.nearest.as_deref()))]
    Unknown { key: String, nearest: Option<String> },
    #[error(
        "the configuration has `{key}` twice: at the top of the file and in [{section}]; remove one of them"
    )]
    Twice { key: &'static str, section: &'static str },
    #[error("[{0}] is a section of the configuration, but `{0}` is written as a key")]
    NotASection(String),
    #[error(transparent)]
    NoHome(#[from] service::NoHome),
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; did you mean `{nearest}`?"))
}

/// Returns the environment of this process.
pub(crate) fn environment() -> Environment {
    let vehicle_name = std::env::var(VEHICLE_NAME).ok().and_then(|name| vehicle_name(&name));
    Environment { places: control::Places::current(), hostname: hostname::current(), vehicle_name }
}

/// Returns the name in the variable [`VEHICLE_NAME`], unless it is empty or marked as not set.
fn vehicle_name(text: &str) -> Option<String> {
    let name = text.trim();
    let is_set = !matches!(name, "" | "NOTSET" | "__NOTSET__");
    is_set.then(|| name.to_owned())
}

impl Config {
    /// Reads the configuration of a daemon with these services.
    pub(crate) fn load(
        arguments: &Arguments,
        environment: &Environment,
        services: &[Registration],
    ) -> Result<Self, ConfigError> {
        let text = read_file(arguments, environment)?;
        let in_file = |error| match config_file(arguments, environment) {
            Some(file) if file.exists() && !matches!(error, ConfigError::NoHome(_)) => {
                ConfigError::In { file, error: Box::new(error) }
            }
            _ => error,
        };
        Self::decide(arguments, text, environment, services).map_err(in_file)
    }

    fn decide(
        arguments: &Arguments,
        text: Table,
        environment: &Environment,
        services: &[Registration],
    ) -> Result<Self, ConfigError> {
        let (file, mut sections) = split(text, services)?;
        set_by_flags(&mut sections, arguments);
        let expand = |path: PathBuf| environment.expand(path);
        let places = &environment.places;
        let data_dir = arguments.data_dir.clone().or(file.data_dir.map(expand));
        let data_dir = data_dir.or_else(|| places.data()).ok_or(service::NoHome)?;
        let ipfs_dir = arguments.ipfs_dir.clone().or(file.ipfs_dir.map(expand));
        let swarm_file = arguments.swarm.clone().or(file.swarm_file.map(expand));
        let control_socket = arguments.socket.clone().or(file.control_socket.map(expand));
        let named = file.hostname.or_else(|| environment.vehicle_name.clone());
        Ok(Self {
            ipfs_dir: ipfs_dir.unwrap_or_else(|| data_dir.join("ipfs")),
            is_swarm_file_named: swarm_file.is_some(),
            swarm_file: swarm_file
                .or_else(|| places.swarm_file())
                .unwrap_or_else(|| data_dir.join("swarm.toml")),
            control_socket: control_socket.unwrap_or_else(|| places.socket(&data_dir)),
            data_dir,
            is_hostname_named: named.is_some(),
            hostname: named.unwrap_or_else(|| environment.hostname.clone()),
            machine_id_file: expand(file.machine_id_file),
            interfaces: file.interfaces,
            udp_port: file.udp_port,
            tcp_port: file.tcp_port,
            ipfs_port: file.ipfs_port,
            store_max_bytes: file.store_max_mib.saturating_mul(MIB),
            disk_free_bytes: file.disk_free_mib.saturating_mul(MIB),
            peers: file.peers,
            routes: file.routes,
            forward: file.forward,
            relay: file.relay,
            upnp: file.upnp,
            pubsub_topic: file.pubsub_topic,
            gateway: file.gateway.0,
            sections,
        })
    }
}

impl Config {
    /// Returns the path of the shared folder, if a flag or the configuration file names one.
    pub(crate) fn shared_folder(&self, environment: &Environment) -> Option<PathBuf> {
        let key = "shared_folder";
        let section = MOVED.iter().find(|(moved, _)| *moved == key)?.1;
        let path = self.sections.get(section)?.get(key)?.as_str()?;
        Some(environment.expand(PathBuf::from(path)))
    }
}

/// Splits the file into the keys at its top and the sections of the services.
fn split(mut text: Table, services: &[Registration]) -> Result<(File, BTreeMap<String, Table>), ConfigError> {
    let mut sections = BTreeMap::new();
    for row in services {
        let section = match text.remove(row.name) {
            Some(Value::Table(section)) => section,
            Some(_) => return Err(ConfigError::NotASection(row.name.to_owned())),
            None => Table::new(),
        };
        sections.insert(row.name.to_owned(), section);
    }
    for (key, section) in MOVED {
        let Some(value) = text.remove(key) else { continue };
        if sections.entry(section.to_owned()).or_default().insert(key.to_owned(), value).is_some() {
            return Err(ConfigError::Twice { key, section });
        }
    }
    match parse_settings("", &text) {
        Err(SettingsError::Unknown { key, known, .. }) => {
            let names = services.iter().map(|row| row.name).chain(MOVED.map(|(key, _)| key));
            let known = known.iter().map(String::as_str).chain(names);
            let nearest = nearest(&key, known).map(str::to_owned);
            Err(ConfigError::Unknown { key, nearest })
        }
        read => Ok((read?, sections)),
    }
}

/// Sets keys of services from flags and environment variables, which override the file.
fn set_by_flags(sections: &mut BTreeMap<String, Table>, arguments: &Arguments) {
    let mut set = |key: &str, value: Value| {
        let section = MOVED.iter().find(|(moved, _)| *moved == key).map_or("", |(_, section)| section);
        sections.entry(section.to_owned()).or_default().insert(key.to_owned(), value);
    };
    if let Some(folder) = &arguments.shared {
        set("shared_folder", folder.to_string_lossy().into_owned().into());
    }
    if arguments.low_power {
        set("keep_others", false.into());
    }
}

/// Returns the path of the configuration file. The file at the default path may be missing.
pub(crate) fn config_file(arguments: &Arguments, environment: &Environment) -> Option<PathBuf> {
    let usual = || environment.places.config().map(|folder| folder.join("config.toml"));
    arguments.config.clone().or_else(usual)
}

fn read_file(arguments: &Arguments, environment: &Environment) -> Result<Table, ConfigError> {
    match config_file(arguments, environment) {
        Some(file) if arguments.config.is_some() || file.exists() => parse_file(&file),
        _ => Ok(Table::new()),
    }
}

fn parse_file(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read(path.to_owned(), error))?;
    toml::from_str(&text).map_err(|error| ConfigError::Syntax(path.to_owned(), Box::new(error)))
}

#[cfg(test)]
mod tests;
