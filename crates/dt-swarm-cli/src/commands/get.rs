//! `get`: fetches a file. On the robot itself the daemon does it ([`by_daemon`]); from another host, or without a daemon
//! that takes orders, this program does ([`from_host`]).

mod by_daemon;
mod from_host;
mod place;

use super::Command;
use crate::context::{Context, Reading};
use crate::error::CliError;
use crate::output::Output;
use crate::output::fields::PeerRef;
use crate::output::names::HOSTNAMES;
use crate::output::transfer::Transfer;
use crate::shared_files;
use crate::text::{clean, size};
use clap::Args;
use dcache::buckets;
use logs::SharedFile;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost get example.bag               into this folder, however long it takes
  dt-swarm-cli localhost get bafy… -o /data/run7.bag --priority 5
  dt-swarm-cli localhost get example.bag --wait 0      only order it; `transfers` shows how far it is
  dt-swarm-cli localhost get example.bag --pin         into the daemon's store, to be kept and given to others
  dt-swarm-cli duckie.local get example.bag            from that host's copy";

/// Fetch a file; every block is checked against the CID.
///
/// On the robot itself the daemon does it: from whoever has the file, also when nobody has it yet, and through restarts
/// of either. Ctrl-C leaves it going on. From another HOST it is fetched from the copy that HOST holds.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Get {
    /// The file's name, which means its newest version, or its CID as `report` shows it.
    #[arg(value_name = "FILE")]
    file: String,
    /// Where to put it: a folder, or the new file's name [default: this folder]
    #[arg(value_name = "DESTINATION")]
    destination: Option<PathBuf>,
    /// Where to put it, too.
    #[arg(short, long, value_name = "DESTINATION", conflicts_with = "destination")]
    output: Option<PathBuf>,
    /// Overwrite what is there.
    #[arg(long)]
    force: bool,
    /// Wait so long for it at most; it goes on nevertheless [default: until it is here]
    #[arg(long, value_name = "SECONDS", value_parser = wait)]
    wait: Option<Duration>,
    /// What has a higher priority is fetched first.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// Keep it in the daemon's store, pinned; then it is written only where DESTINATION says.
    #[arg(long)]
    pin: bool,
}

/// A file that was fetched, or a download that goes on.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum GetOutput {
    Fetched(Fetched),
    /// The number of the download is in it.
    Ordered(Box<Transfer>),
}

/// A file that was fetched.
#[derive(Debug, Serialize)]
pub(crate) struct Fetched {
    /// The CID by which it was fetched.
    cid: String,
    /// The size of what was written.
    bytes: u64,
    /// Where it was written; `null` when it is only pinned.
    path: Option<String>,
    /// The peer from whose copy it was fetched; `null` when the daemon here fetched it, from whoever had it.
    source: Option<PeerRef>,
    #[serde(skip)]
    host: Option<String>,
}

impl Command for Get {
    type Output = GetOutput;

    fn run(&self, context: &Context) -> Result<GetOutput, CliError> {
        let reading =
            context.read(&[buckets::SHARE.pattern(), buckets::IPFS_ADDRESSES.pattern(), HOSTNAMES])?;
        let Reading { answer, .. } = &reading;
        let files = shared_files::list(&answer.set, answer.now);
        match context.client() {
            Ok(client) => by_daemon::get(self, context, client, &files),
            Err(error) if self.is_for_daemon() || context.is_socket_named() => Err(error),
            Err(_) => from_host::get(self, context, &reading, &files).map(GetOutput::Fetched),
        }
    }
}

impl Get {
    /// Returns where to put it, if that was said.
    fn place(&self) -> Option<&Path> {
        self.output.as_deref().or(self.destination.as_deref())
    }

    /// Returns whether only a daemon that takes orders can do it.
    fn is_for_daemon(&self) -> bool {
        self.wait.is_some() || self.pin || self.priority != 0
    }

    /// Finds the one shared file that has this name or CID; of several versions of a file the newest.
    fn find<'a>(&self, files: &'a [SharedFile]) -> Result<&'a SharedFile, CliError> {
        let has_cid = |file: &&SharedFile| file.cid.to_string() == self.file;
        let has_name =
            |file: &&SharedFile| file.description.as_ref().is_some_and(|known| known.filename == self.file);
        let mut found: Vec<&SharedFile> = files.iter().filter(has_cid).collect();
        if found.is_empty() {
            found = shared_files::newest(files.iter().filter(has_name).collect());
        }
        match found[..] {
            [] => Err(CliError::NoSuchFile(self.file.clone())),
            [one] => Ok(one),
            [..] => {
                let cids: Vec<String> = found.iter().map(|file| file.cid.to_string()).collect();
                Err(CliError::Ambiguous { name: self.file.clone(), cids: cids.join(", ") })
            }
        }
    }
}

impl Output for GetOutput {
    fn show(&self) -> String {
        match self {
            Self::Fetched(fetched) => fetched.show(),
            Self::Ordered(transfer) => {
                let number = transfer.download.map(|number| format!(" {number}")).unwrap_or_default();
                format!("Download{number} goes on in the background; `transfers` shows it.\n")
            }
        }
    }
}

impl Fetched {
    fn show(&self) -> String {
        let from = self.host.as_ref().map_or(String::new(), |host| format!(", from {}", clean(host, 64)));
        match &self.path {
            Some(path) => format!("{}: {}{from}\n", clean(path, 200), size(self.bytes)),
            None => format!("{}: {}, pinned\n", self.cid, size(self.bytes)),
        }
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    if (0.0..=31_536_000.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("from 0 seconds to a year".to_owned())
    }
}
