use super::*;
use control::{Failure, Places, Protocol};
use serde::{Deserialize, Serialize};
use service::{Context, Endpoint, Service, ServiceError};
use std::convert::Infallible;

/// A service for tests. Its section of the configuration file, `[logs]`, has two of the keys of the service `logs`.
struct Sample;

#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Settings {
    shared_folder: Option<PathBuf>,
    keep_others: bool,
}

impl Protocol for Sample {
    const NAME: &'static str = "logs";
    type Request = ();
    type Answer = ();
}

impl Endpoint for Sample {
    async fn handle(&self, (): ()) -> Result<(), Failure> {
        Ok(())
    }
}

impl Service for Sample {
    type Settings = Settings;

    fn open(_: Context, _: Settings) -> Result<Self, ServiceError> {
        Ok(Self)
    }

    async fn run(&self) -> Result<Infallible, ServiceError> {
        std::future::pending().await
    }
}

const SERVICES: &[Registration] = &[Registration::of::<Sample>()];

fn environment() -> Environment {
    let places = Places { home: Some("/home/duckie".into()), ..Places::default() };
    Environment { places, hostname: "duckie".to_owned(), vehicle_name: None }
}

fn decide(flags: &[&str], file: &str) -> Result<Config, ConfigError> {
    let arguments = Arguments::parse_from([&["dt-swarm"], flags].concat());
    Config::decide(&arguments, toml::from_str(file).unwrap(), &environment(), SERVICES)
}

#[test]
fn every_setting_has_a_default() {
    let config = decide(&[], "").unwrap();
    assert_eq!(config.data_dir, Path::new("/home/duckie/.local/share/dt-swarm"));
    assert_eq!(config.ipfs_dir, config.data_dir.join("ipfs"));
    assert_eq!((config.udp_port, config.tcp_port, config.ipfs_port), (1240, 8000, 6002));
    assert_eq!((config.hostname.as_str(), config.is_hostname_named), ("duckie", false));
    assert_eq!(config.swarm_file, Path::new("/home/duckie/.config/dt-swarm/swarm.toml"));
    assert!(!config.is_swarm_file_named);
    assert_eq!(config.control_socket, config.data_dir.join("control.sock"));
}

#[test]
fn the_vehicle_name_overrides_the_name_of_the_host_and_the_file_overrides_both() {
    let environment = Environment { vehicle_name: Some("autobot1".to_owned()), ..environment() };
    let decide = |text: &str| {
        let arguments = Arguments::parse_from(["dt-swarm"]);
        let config = Config::decide(&arguments, toml::from_str(text).unwrap(), &environment, SERVICES);
        let config = config.unwrap();
        (config.hostname, config.is_hostname_named)
    };
    assert_eq!(decide(""), ("autobot1".to_owned(), true));
    assert_eq!(decide("hostname = 'goose'"), ("goose".to_owned(), true));
    for text in ["", " ", "NOTSET", "__NOTSET__"] {
        assert_eq!(vehicle_name(text), None, "{text:?}");
    }
}

#[test]
fn a_hostname_in_the_file_overrides_the_name_of_the_host() {
    let config = decide(&[], "hostname = 'goose'").unwrap();
    assert_eq!((config.hostname.as_str(), config.is_hostname_named), ("goose", true));
}

#[test]
fn the_paths_of_the_swarm_file_and_the_socket_can_be_set() {
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
    let wrong = decide(&[], "peers = ['/ip4/10.0.0.777/tcp/8000/dswarm-line']").unwrap_err().to_string();
    assert!(wrong.contains("10.0.0.777") && wrong.contains("peers"), "{wrong}");
}

#[test]
fn the_gateway_listens_on_this_computer_only_unless_configured_otherwise() {
    let gateway = |file: &str| decide(&[], file).unwrap().gateway.map(|at| at.to_string());
    assert_eq!(gateway("").as_deref(), Some("127.0.0.1:6080"));
    assert_eq!(gateway("gateway = '[::]:80'").as_deref(), Some("[::]:80"));
    assert_eq!(gateway("gateway = 'off'"), None);
    let wrong = decide(&[], "gateway = 'localhost'").unwrap_err().to_string();
    assert!(wrong.contains("127.0.0.1:6080") && wrong.contains("off"), "{wrong}");
}

#[test]
fn keys_of_services_are_read_in_their_section_or_at_the_top() {
    let logs = |file: &str| decide(&[], file).map(|config| config.sections["logs"].clone());
    assert_eq!(logs("keep_others = false").unwrap(), logs("[logs]\nkeep_others = false").unwrap());
    assert!(logs("").unwrap().is_empty());
    let twice = logs("keep_others = false\n[logs]\nkeep_others = true").unwrap_err().to_string();
    assert!(twice.contains("`keep_others` twice") && twice.contains("[logs]"), "{twice}");
    let key = logs("logs = 1").unwrap_err().to_string();
    assert!(key.contains("[logs] is a section"), "{key}");
    let unknown = logs("[log]\nkeep_others = true").unwrap_err().to_string();
    assert!(unknown.contains("`log`; did you mean `logs`?"), "{unknown}");
}

#[test]
fn flags_override_the_file() {
    let config = decide(
        &["--data-dir", "/a", "--low-power"],
        "data_dir = '/b'\nshared_folder = '~/logs'\nkeep_others = true",
    );
    let config = config.unwrap();
    assert_eq!(config.data_dir, Path::new("/a"));
    assert_eq!(config.sections["logs"]["shared_folder"].as_str(), Some("~/logs"));
    assert_eq!(config.sections["logs"]["keep_others"].as_bool(), Some(false));
    let config = decide(&["--shared", "/c"], "[logs]\nshared_folder = '~/logs'").unwrap();
    assert_eq!(config.sections["logs"]["shared_folder"].as_str(), Some("/c"));
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest_known_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.toml");
    std::fs::write(&path, "tpc_port = 1\n").unwrap();
    let arguments = Arguments::parse_from(["dt-swarm".as_ref(), "--config".as_ref(), path.as_os_str()]);
    let error = Config::load(&arguments, &environment(), SERVICES).unwrap_err().to_string();
    assert!(error.contains("`tpc_port`; did you mean `tcp_port`?"), "{error}");
    assert!(error.starts_with(&path.display().to_string()), "{error}");
}

#[test]
fn without_a_home_folder_the_error_names_the_flag_to_set() {
    let arguments = Arguments::parse_from(["dt-swarm"]);
    let error = Config::decide(&arguments, Table::new(), &Environment::default(), SERVICES).unwrap_err();
    assert!(error.to_string().contains("--data-dir"));
}
