//! `version`: shows the versions of this program and of the daemon.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::fields::Daemon;
use crate::text::clean;
use clap::Args;
use serde::Serialize;

/// Shows the versions of this program and of the daemon.
#[derive(Debug, Args)]
pub(crate) struct Version {}

/// The versions of this program and of the daemon.
#[derive(Debug, Serialize)]
pub(crate) struct Versions {
    /// The version of this program.
    cli_version: &'static str,
    /// The daemon, with its version.
    daemon: Daemon,
    #[serde(skip)]
    host: String,
}

impl Command for Version {
    type Output = Versions;

    fn run(&self, context: &Context) -> Result<Versions, CliError> {
        let (_, daemon) = context.ping()?;
        Ok(Versions { cli_version: env!("CARGO_PKG_VERSION"), daemon, host: context.host.to_string() })
    }
}

impl Output for Versions {
    fn show(&self) -> String {
        let Self { cli_version, daemon, host } = self;
        let theirs = daemon.version.as_ref().map_or("unknown".to_owned(), |version| clean(version, 64));
        format!("dt-swarm-cli {cli_version}\ndt-swarm at {host}: {theirs}\n")
    }
}
