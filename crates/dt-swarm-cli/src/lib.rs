//! `dt-swarm-cli HOST COMMAND`: asks a dt-swarm daemon, on this host or another, and shows the answer.
//!
//! It speaks the line protocol over TCP with plain blocking sockets. Nothing that comes is believed: every signature is
//! verified here, every answer is bounded in lines, bytes and time, and no text reaches the terminal before what could
//! steer it is taken out. `connection` has the socket, `ask` a question and its answer, `context` what all commands need.
//! What changes something goes to the daemon of this computer through its control socket.
//!
//! Each command is a file in `commands`; `output` has the forms of its answer and the vocabulary of the JSON documents.
//!
//! # In short
//! - **Inputs**: a host, a command with arguments, and answers of daemons.
//! - **Outputs**: a table or one JSON document; exit code 0, 1 (no answer, or no) or 2 (wrong usage).
//! - **Invariants**: nothing is shown or believed unchecked.
//! - **Start reading** at `commands.rs`, then `connection.rs`.

mod arguments;
mod ask;
mod commands;
mod connection;
mod context;
mod discarding;
mod error;
mod host;
mod interrupts;
mod jobs;
mod key_files;
mod local_daemon;
mod output;
mod pattern;
mod period;
mod random;
mod readmission;
mod roles;
mod shared_files;
mod signing;
mod swarm_file;
mod tables;
mod text;
mod validity;

use arguments::Arguments;
use clap::Parser as _;
use std::process::ExitCode;

/// Runs the command line of this process. Exits with 0 when all went well, with 1 when no daemon answers or its answer is
/// of no use, and with 2 for a command line that makes no sense.
pub fn main() -> ExitCode {
    let Arguments { context, command } = Arguments::parse();
    match command.run(&context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::warn(&error.to_string());
            ExitCode::FAILURE
        }
    }
}
