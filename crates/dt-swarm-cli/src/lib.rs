//! `dt-swarm-cli HOST COMMAND` asks a dt-swarm daemon, on this host or another, and shows the answer.
//!
//! The program speaks the line protocol of the Inter-Planetary Swarm of Duckiebots (IPSD) over TCP, with blocking
//! sockets. It does not trust the answers. It verifies every signature, and it limits the lines, the bytes and the time
//! of every answer. It escapes characters that could control a terminal before it prints a text. Commands that change
//! something use the control socket of the daemon on this computer.
//!
//! Each command is a file in `commands`. The connection is in `connection`, and questions with their answers are in
//! `ask`. The options of all commands are in `context`. The output forms and the vocabulary of the JSON documents are
//! in `output`.
//!
//! # In short
//! - **Inputs**: a host, a command with arguments, and answers of daemons.
//! - **Outputs**: a table or one JSON document; exit code 0 (success), 1 (failure) or 2 (wrong usage).
//! - **Invariants**: all records are verified before they are used, and all texts from the network are escaped before
//!   they are shown.
//! - **Start reading** at `commands.rs`, then `connection.rs`.

mod arguments;
mod ask;
mod commands;
mod completion;
mod connection;
mod context;
mod discarding;
mod error;
mod host;
mod html;
mod interrupts;
mod jobs;
mod key_files;
mod live_table;
mod local_daemon;
mod output;
mod page_file;
mod pattern;
mod period;
mod random;
mod readmission;
mod robots;
mod roles;
mod shared_files;
mod signing;
mod streams;
mod swarm_file;
mod tables;
mod target;
mod terminal;
mod text;
mod validity;

use arguments::Arguments;
use clap::{CommandFactory as _, Parser as _};
use std::process::ExitCode;

/// Runs the command line of this process. Returns exit code 0 on success. Returns 1 when the command fails, for example
/// because no daemon answers or the answer is invalid. Exits with 2 when the command line is invalid.
pub fn main() -> ExitCode {
    if std::env::args_os().skip(1).eq([completion::ARGUMENT]) {
        return completion::print_names();
    }
    let Arguments { context, command } = Arguments::parse();
    match command.run(&context) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::warn(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Returns the definition of the command line, for the program that writes the reference pages.
pub fn command() -> clap::Command {
    Arguments::command()
}
