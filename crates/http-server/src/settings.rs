//! Settings of a server.
use std::net::SocketAddr;
use std::time::Duration;

/// Where the server listens, and how it treats its clients.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The key of the configuration file that sets `listen`. Errors name it as the way out.
    pub config_key: &'static str,
    /// Names of this host that are accepted in `Host`, beside its addresses and `localhost`.
    pub host_names: Vec<String>,
    /// Time that a client may take none of its answer before its connection is closed.
    pub send_timeout: Duration,
}

impl Settings {
    /// Settings with a send timeout of one minute.
    pub fn new(listen: SocketAddr, config_key: &'static str, host_names: Vec<String>) -> Self {
        Self { listen, config_key, host_names, send_timeout: Duration::from_secs(60) }
    }
}
