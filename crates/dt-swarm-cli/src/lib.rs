//! `dt-swarm-cli HOST COMMAND`: asks a dt-swarm daemon, on this host or another, and shows the answer.
//!
//! It speaks the line protocol over TCP with plain blocking sockets. Nothing that comes is believed: every signature is
//! verified here, every answer is bounded in lines, bytes and time, and no text reaches the terminal before what could
//! steer it is taken out. `report`, `summary` and `query` are pure; `connection` has the socket, and `get` an IPFS node of
//! its own. What changes something goes to the daemon of this computer through its control socket (`local`, `change`).

mod arguments;
mod ask;
mod bars;
mod change;
mod channels;
mod commands;
mod connection;
mod content;
mod download;
mod error;
mod get;
mod host;
mod keys;
mod limit;
mod local;
mod names;
mod ping;
mod query;
mod report;
mod roles;
mod routes;
mod stats;
mod storage;
mod summary;
mod swarm_files;
mod tables;
mod text;
mod transfers;
mod validity;
mod watch;

use arguments::Arguments;
use clap::Parser as _;
use error::CliError;
use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

/// Runs the command line of this process: 0 when all went well, 1 when no daemon answers or its answer is of no use,
/// 2 for a command line that makes no sense.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match commands::run(&arguments).and_then(|output| print(&output)) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "dt-swarm-cli: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints this at once; returns whether there is still somebody to read it. Whoever closes the pipe early, as `head`
/// does, has seen enough: that is no error.
fn print(output: &str) -> Result<bool, CliError> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(output.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(CliError::Output(error)),
    }
}
