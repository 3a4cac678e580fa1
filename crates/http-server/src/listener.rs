//! The listening socket and its settings.
use std::convert::Infallible;
use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::connections::serve;
use crate::router::{DuplicateRoute, Router};
use crate::routes::RouteSet;
use crate::settings::Settings;

/// An error of listening. The message names the way out.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The port is taken, most often by another daemon.
    #[error(
        "TCP port {port} is taken by another program (another dt-swarm?); stop that one or set `{config_key}` in the \
         configuration file"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// The key of the configuration file that chooses another port.
        config_key: &'static str,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// Any other error of the operating system.
    #[error(
        "the server for HTTP cannot listen at {address}: {source}; `{config_key}` in the configuration file chooses \
         another address"
    )]
    Io {
        /// The address.
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

/// A reason why the server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The server cannot listen.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Two routes are for the same requests.
    #[error(transparent)]
    Routes(#[from] DuplicateRoute),
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    settings: Settings,
}

impl Listener {
    /// Listens at the address of the settings.
    ///
    /// # Errors
    /// When it cannot, most often because the port is taken.
    pub async fn bind(settings: Settings) -> Result<Self, BindError> {
        match TcpListener::bind(settings.listen).await {
            Ok(socket) => Ok(Self { socket, settings }),
            Err(error) => Err(BindError::new(&settings, error)),
        }
    }

    /// Returns the address that it listens on: with port 0 in the settings, the port that the system chose.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers requests by the router. Dropping the future closes all connections.
    pub async fn serve(self, router: Router) -> Infallible {
        serve(self.socket, self.settings, router).await
    }
}

/// Listens and answers requests from the route sets, as [`Listener::serve`] does.
///
/// # Errors
/// When it cannot listen, or when two routes are for the same requests.
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
    async fn a_taken_port_is_named_with_the_key_that_chooses_another() {
        let first = Listener::bind(settings("127.0.0.1:0".parse().unwrap())).await.unwrap();
        let address = first.address().unwrap();
        let error = Listener::bind(settings(address)).await.unwrap_err();
        let message = error.to_string();
        assert!(message.contains(&format!("TCP port {} is taken", address.port())), "{message}");
        assert!(message.contains("set `http_port` in the configuration file"), "{message}");
        assert!(error.source().is_some());
    }

    #[tokio::test]
    async fn an_address_of_another_host_is_named_with_the_key_that_chooses_another() {
        let error = Listener::bind(settings("192.0.2.1:80".parse().unwrap())).await.unwrap_err();
        let message = error.to_string();
        assert!(message.contains("192.0.2.1:80") && message.contains("`http_port`"), "{message}");
        assert!(error.source().is_some());
    }
}
