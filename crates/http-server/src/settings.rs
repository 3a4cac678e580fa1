//! Settings of a server.
use std::net::SocketAddr;
use std::time::Duration;

/// The address of a server, and its rules for clients.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The key of the configuration file that sets `listen`. Error messages name it.
    pub config_key: &'static str,
    /// Names of this host that are accepted in `Host`, besides IP addresses and `localhost`.
    pub host_names: Vec<String>,
    /// Time after which the connection of a client that reads nothing of its answer is closed.
    pub send_timeout: Duration,
}

impl Settings {
    /// Creates settings with a send timeout of one minute.
    pub fn new(listen: SocketAddr, config_key: &'static str, host_names: Vec<String>) -> Self {
        Self { listen, config_key, host_names, send_timeout: Duration::from_secs(60) }
    }
}
