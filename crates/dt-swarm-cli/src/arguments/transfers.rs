//! What comes and goes: `get`, `transfers` and `limit`.

use clap::{Args, Subcommand};
use control::Limit;
use std::path::PathBuf;
use std::time::Duration;

/// What to fetch, and where to.
#[derive(Debug, Args)]
pub(crate) struct GetArguments {
    /// The file's name, or its CID as `report` shows it.
    #[arg(value_name = "FILE")]
    pub(crate) file: String,
    /// Where to put it: a folder, or the new file's name [default: this folder]
    #[arg(value_name = "DESTINATION")]
    destination: Option<PathBuf>,
    /// Where to put it, too.
    #[arg(short, long, value_name = "DESTINATION", conflicts_with = "destination")]
    output: Option<PathBuf>,
    /// Overwrite what is there.
    #[arg(long)]
    pub(crate) force: bool,
    /// Wait so long for it at most; it goes on nevertheless [default: until it is here]
    #[arg(long, value_name = "SECONDS", value_parser = wait)]
    pub(crate) wait: Option<Duration>,
    /// What has a higher priority is fetched first.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) priority: i32,
    /// Keep it in the daemon's store, pinned; then it is written only where DESTINATION says.
    #[arg(long)]
    pub(crate) pin: bool,
}

impl GetArguments {
    /// Where to put it, if that was said.
    pub(crate) fn place(&self) -> Option<&std::path::Path> {
        self.output.as_deref().or(self.destination.as_deref())
    }

    /// Whether only a daemon that takes orders can do it.
    pub(crate) fn is_for_daemon(&self) -> bool {
        self.wait.is_some() || self.pin || self.priority != 0
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum TransfersCommand {
    /// Do not fetch this any more, or forget that it was fetched.
    Cancel {
        /// The number of a download as `transfers` shows it, or a CID.
        #[arg(value_name = "NUMBER|CID")]
        download: String,
    },
}

/// How fast, in a second: 500kB, 2MB, 16Mbit, none or default.
#[derive(Debug, Args)]
pub(crate) struct LimitArguments {
    /// To hosts on this host's own networks.
    #[arg(long, value_name = "RATE")]
    pub(crate) lan_up: Option<Limit>,
    /// From them.
    #[arg(long, value_name = "RATE")]
    pub(crate) lan_down: Option<Limit>,
    /// To all others.
    #[arg(long, value_name = "RATE")]
    pub(crate) wan_up: Option<Limit>,
    /// From them.
    #[arg(long, value_name = "RATE")]
    pub(crate) wan_down: Option<Limit>,
}

fn wait(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.0..=31_536_000.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("from 0 seconds to a year".to_owned())
    }
}
