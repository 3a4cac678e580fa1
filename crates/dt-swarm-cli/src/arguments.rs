//! The command line.

use crate::host::Host;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost report            the files that are shared in the swarm
  dt-swarm-cli duckie.local summary        everything that the daemon on duckie.local knows
  dt-swarm-cli 10.0.0.7 summary 'share/*'  only the buckets below share
  dt-swarm-cli localhost report --json     the same for programs: one JSON document
  dt-swarm-cli '[::1]:8000' ping -c 10     is it there, and how fast?

Exit code: 0 all went well, 1 no daemon answers or its answer is of no use, 2 wrong usage.";

/// Asks a dt-swarm daemon, on this host or another, and shows the answer.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, disable_help_subcommand = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    /// Where the daemon runs: localhost, a name or an IP address, with :PORT if it is not 8000.
    #[arg(value_name = "HOST")]
    pub(crate) host: Host,
    /// Print one JSON document instead of tables.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Give up after so many seconds in which nothing came.
    #[arg(long, global = true, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) timeout: Duration,
    /// What to ask.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the buckets and their items: who says so, until when, and for how long it has been so.
    Summary {
        /// Only buckets that match, such as share/files, share/* or */info/*; a * crosses slashes.
        #[arg(default_value = "*")]
        pattern: String,
    },
    /// Show the shared files: name, size, who shared it, how far it is, and who holds it.
    ///
    /// A file is `shared` by its uploader, `verified` once somebody looked at it, `safe` once somebody keeps a copy,
    /// or `discarded`. A ? after the uploader means that he did not sign this himself.
    Report,
    /// Fetch a shared file from the copy that HOST holds; every block is checked against the CID.
    Get {
        /// The file's name, or its CID as `report` shows it.
        #[arg(value_name = "FILE")]
        file: String,
        /// Where to put it: a folder, or the new file's name [default: this folder]
        #[arg(value_name = "DESTINATION")]
        destination: Option<PathBuf>,
        /// Overwrite what is there.
        #[arg(long)]
        force: bool,
    },
    /// Ask whether the daemon is there: round-trip times, peer ID, version, uptime and clock.
    Ping {
        /// How many times to ask.
        #[arg(short, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=1000))]
        count: u16,
    },
    /// Show the version of this program and of the daemon.
    Version,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.1..=3600.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("from 0.1 to 3600 seconds".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_may_stand_anywhere() {
        for line in ["x h report --json", "x --json h report", "x h --json report"] {
            assert!(Arguments::parse_from(line.split(' ')).json);
        }
        let arguments = Arguments::parse_from("x h ping -c 5 --timeout 0.5".split(' '));
        assert_eq!(arguments.timeout, Duration::from_millis(500));
        assert!(matches!(arguments.command, Command::Ping { count: 5 }));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "x",
            "x h",
            "x h fly",
            "x h ping -c 0",
            "x h report --timeout nan",
            "x h report --timeout -1",
            "x h:0 report",
        ] {
            assert!(Arguments::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }
}
