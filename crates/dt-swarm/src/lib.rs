//! The daemon: one program that makes a robot part of the swarm, the Inter-Planetary Swarm of Duckiebots (IPSD).
//!
//! This crate sets up the parts that all services share: the configuration, the identity, the record store, the running
//! brain with its channels, the IPFS node, the control socket and the gateway. It then runs a list of services, see
//! [`run`]. Only the list [`SERVICES`] names particular services. The exceptions are a few command line flags that set
//! keys in a service's section.
//!
//! # In short
//! - **Inputs**: the configuration (flags, environment, file), and the list of services in `services.rs`.
//! - **Outputs**: the start message, the log, and sockets for peers, for the control of the daemon, and for the
//!   gateway.
//! - **Invariants**: a task that fails is restarted while the others continue; if another program uses a port, the
//!   error says how to solve this; the daemon's own files are never shared.
//! - **Start reading** at `daemon.rs`, then `config.rs`.

mod announce;
mod banner;
mod comms;
mod config;
mod daemon;
mod ending;
mod endpoints;
mod facts;
mod hostname;
mod identity;
mod machine;
mod membership;
mod node;
mod permissions;
mod plan;
mod private;
pub mod reference;
mod relay_users;
mod restart;
mod routes;
mod runtimes;
mod services;
mod shared;

pub use services::SERVICES;

use clap::Parser as _;
use ending::Ending;
use service::Registration;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Log filter that is used when `RUST_LOG` is not set. It shows the steps of the daemon, but only errors of libp2p. Any
/// stranger can make yamux log an error for each connection. Gossipsub logs each message that finds a full queue, which
/// filled the log of a busy robot with 24 MB in 17 minutes. So these two log nothing.
const LOGGED: &str = "info,libp2p=error,libp2p_gossipsub=off,quinn=error,yamux=off";

/// Runs the daemon with these services until Ctrl-C or SIGTERM. Parses the command line of the process and sets up
/// logging, so only `main` should call it.
pub fn run(services: &'static [Registration]) -> ExitCode {
    let arguments = config::Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    // Colours are used only on a terminal, not in log files.
    let is_terminal = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(is_terminal)
        .with_writer(std::io::stderr)
        .init();
    match daemon::run(&arguments, services) {
        Ok(Ending::Stopped) => ExitCode::SUCCESS,
        Ok(Ending::Renewed) => {
            let error = restart::restart();
            eprintln!(
                "dt-swarm: the identity was renewed, but dt-swarm cannot start itself again: {error}; start it again"
            );
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("dt-swarm: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn strangers_cannot_fill_the_log_with_messages_of_libraries() {
        let subscriber = tracing_subscriber::fmt().with_env_filter(EnvFilter::new(LOGGED)).finish();
        tracing::subscriber::with_default(subscriber, || {
            assert!(!tracing::enabled!(target: "yamux::connection", Level::ERROR));
            assert!(!tracing::enabled!(target: "libp2p_gossipsub::behaviour", Level::ERROR));
            assert!(!tracing::enabled!(target: "libp2p_tcp", Level::WARN));
            assert!(tracing::enabled!(target: "libp2p_swarm", Level::ERROR));
            assert!(tracing::enabled!(target: "dt_swarm::daemon", Level::INFO));
        });
    }
}
