//! `dt-swarm`, the daemon: see `dt-swarm --help`.

mod banner;
mod comms;
mod config;
mod content;
mod control_socket;
mod facts;
mod identity;
mod membership;
mod plan;
mod routes;
mod run;
mod shelf;
mod supervise;
mod works;

use clap::Parser as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// What is logged when `RUST_LOG` does not say: our own steps, and of libp2p what is wrong.
const LOGGED: &str = "info,libp2p=warn,libp2p_swarm=error,quinn=warn";

fn main() -> ExitCode {
    let arguments = config::Arguments::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    // Colours are for eyes, not for log files.
    let is_seen = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(is_seen).with_writer(std::io::stderr).init();
    match run::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dt-swarm: {error}");
            ExitCode::FAILURE
        }
    }
}
