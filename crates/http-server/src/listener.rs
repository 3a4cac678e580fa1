//! The listening socket and its settings.
use std::convert::Infallible;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::connections::serve;
use crate::router::{DuplicateRoute, Router};
use crate::routes::RouteSet;
use crate::settings::Settings;

/// The error of a server that cannot listen. The message says how to solve the problem.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is taken, usually by another daemon.
    #[error(
        "TCP port {port} is taken by another program (another dt-swarm?); stop that one or set `{config_key}` in the \
         configuration file"
    )]
    PortTaken {
        /// The port that is taken.
        port: u16,
        /// The key of the configuration file that chooses another port.
        config_key: &'static str,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// Any other error of the operating system.
    #[error(
        "the HTTP server cannot listen at {address}: {source}; `{config_key}` in the configuration file sets the \
         address"
    )]
    Io {
        /// The address on which the server tried to listen.
        address: SocketAddr,
        /// The key of the configuration file that chooses another address.
        config_key: &'static str,
        /// The operating system's error.
        source: std::io::Error,
    },
}

impl BindError {
    fn new(settings: &Settings, source: std::io::Error) -> Self {
        let (address, config_key) = (settings.listen, settings.config_key);
        match source.kind() {
            std::io::ErrorKind::AddrInUse => Self::PortTaken { port: address.port(), config_key, source },
            _ => Self::Io { address, config_key, source },
        }
    }
}

/// The error of a server that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The server cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Two routes have the same pattern.
    #[error(transparent)]
    Routes(#[from] DuplicateRoute),
}

/// A server that listens but does not answer yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    settings: Settings,
}

impl Listener {
    /// Listens at the address of the settings.
    ///
    /// # Errors
    /// Returns an error if the operating system refuses it, usually because the port is taken.
    pub async fn bind(settings: Settings) -> Result<Self, BindError> {
        match TcpListener::bind(settings.listen).await {
            Ok(socket) => Ok(Self { socket, settings }),
            Err(error) => Err(BindError::new(&settings, error)),
        }
    }

    /// Returns the address of the listener. If the port in the settings is 0, it has the port that the system chose.
    ///
    /// # Errors
    /// Returns the error of the operating system if the address is not available.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers requests with the router. Dropping the future closes all connections.
    pub async fn serve(self, router: Router) -> Infallible {
        serve(self.socket, self.settings, router).await
    }
}

/// Listens, and answers requests with the routes of all sets, as [`Listener::serve`] does.
///
/// # Errors
/// Returns an error if the server cannot listen, or if two routes have the same pattern.
pub async fn run_server(settings: Settings, sets: Vec<RouteSet>) -> Result<Infallible, ServerError> {
    let router = Router::new(sets)?;
    Ok(Listener::bind(settings).await?.serve(router).await)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    fn settings(listen: SocketAddr) -> Settings {
        Settings::new(listen, "http_port", Vec::new())
    }

    #[tokio::test]
    async fn the_error_of_a_taken_port_names_the_setting() {
        let first = Listener::bind(settings("127.0.0.1:0".parse().unwrap())).await.unwrap();
        let address = first.address().unwrap();
        let error = Listener::bind(settings(address)).await.unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&format!("TCP port {} is taken", address.port())), "{message}");
        assert!(message.contains("set `http_port` in the configuration file"), "{message}");
        assert!(error.source().is_some());
    }

    #[tokio::test]
    async fn the_error_of_a_wrong_address_names_the_setting() {
        let error = Listener::bind(settings("192.0.2.1:80".parse().unwrap())).await.unwrap_err();
        let message = error.to_string();
        assert!(message.contains("192.0.2.1:80") && message.contains("`http_port`"), "{message}");
        assert!(error.source().is_some());
    }
}
