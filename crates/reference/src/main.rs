//! Command line of the generator, see the library.

use clap::{Parser, Subcommand};
use reference::{Error, files};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes man pages, shell completions and reference pages of dt-swarm and dt-swarm-cli.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    output: Output,
}

#[derive(Subcommand)]
enum Output {
    /// Write a man page for each program and for each command of dt-swarm-cli
    Man(Folder),
    /// Write completions for bash, zsh and fish
    Completions(Folder),
    /// Write cli.md and configuration.md
    Pages(Folder),
}

#[derive(clap::Args)]
struct Folder {
    /// Folder of the files; it is created if it does not exist
    #[arg(value_name = "DIR")]
    path: PathBuf,
}

impl Output {
    fn write(&self) -> Result<(), Error> {
        let (Self::Man(folder) | Self::Completions(folder) | Self::Pages(folder)) = self;
        let write: fn(&Path) -> Result<(), Error> = match self {
            Self::Man(_) => files::write_man_pages,
            Self::Completions(_) => files::write_completions,
            Self::Pages(_) => files::write_pages,
        };
        write(&folder.path)
    }
}

fn main() -> ExitCode {
    match Options::parse().output.write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("reference: {error}");
            ExitCode::FAILURE
        }
    }
}
