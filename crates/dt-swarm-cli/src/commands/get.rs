//! `get`: fetches files. On the robot itself the daemon does it ([`by_daemon`]); from another host, or without a daemon
//! that takes orders, this program does ([`from_host`]).

mod by_daemon;
mod from_host;
mod place;

use super::Command;
use crate::context::{Context, Reading};
use crate::error::CliError;
use crate::output::fields::PeerRef;
use crate::output::names::HOSTNAMES;
use crate::output::transfer::Transfer;
use crate::output::{Form, Output};
use crate::period::period;
use crate::shared_files;
use crate::text::{clean, size};
use clap::Args;
use dcache::buckets;
use logs::SharedFile;
use place::{Places, Target};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost get example.bag               into this folder, however long it takes
  dt-swarm-cli localhost get a.bag b.bag -o runs/      several, into a folder, which is made if it is missing
  dt-swarm-cli localhost get bafy… -o /data/run7.bag --priority 5
  dt-swarm-cli localhost get notes.txt -o - | less     to standard output
  dt-swarm-cli localhost get example.bag --wait 0      only order it; `transfers` shows how far it is
  dt-swarm-cli localhost get example.bag --pin         into the daemon's store, to be kept and given to others
  dt-swarm-cli duckie.local get example.bag            from that host's copy";

/// Fetch files; every block is checked against the CID.
///
/// On the robot itself the daemon does it: from whoever has the file, also when nobody has it yet, and through restarts
/// of either. Ctrl-C leaves it going on. From another HOST it is fetched from the copy that HOST holds; then Ctrl-C leaves
/// nothing behind.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Get {
    /// The files' names, or their CIDs as `report` shows them. A name means the newest version.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Where to put them: a folder, for one file also its new name; - is standard output [default: this folder].
    /// In a folder a leading dot of a name becomes _
    #[arg(short, long, value_name = "DESTINATION")]
    output: Option<PathBuf>,
    /// Overwrite what is there.
    #[arg(long)]
    force: bool,
    /// Wait so long at most, such as 20s or 5min; it goes on nevertheless [default: until all is here]
    #[arg(long, value_name = "SECONDS", value_parser = wait)]
    wait: Option<Duration>,
    /// What has a higher priority is fetched first.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// Keep them in the daemon's store, pinned; then they are written only where DESTINATION says.
    #[arg(long)]
    pin: bool,
}

/// What came of the files.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum GetOutput {
    /// Of one file.
    One(GetResult),
    /// Of several.
    Several {
        /// One object for each, in their order.
        files: Vec<GetResult>,
    },
}

/// A file that was fetched, or a download that goes on.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum GetResult {
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
    /// Standard output is the file: nothing is said there.
    #[serde(skip)]
    is_silent: bool,
}

impl Command for Get {
    type Output = GetOutput;

    fn run(&self, context: &Context) -> Result<GetOutput, CliError> {
        self.check(context.form())?;
        let reading = context.read_shared(&[buckets::IPFS_ADDRESSES.pattern(), HOSTNAMES])?;
        let Reading { answer, .. } = &reading;
        let files = shared_files::list(&answer.set, answer.now);
        let results = match context.client() {
            Ok(client) => by_daemon::get(self, context, client, &files),
            Err(error) if self.is_for_daemon() || self.has_to_be_local(context) => Err(error),
            Err(_) => from_host::get(self, context, &reading, &files),
        };
        results.map(GetOutput::new)
    }
}

impl Get {
    /// Refuses what contradicts itself.
    fn check(&self, form: Form) -> Result<(), CliError> {
        match place::is_stdout(self.output.as_deref()) {
            true if form == Form::Json => Err(CliError::StdoutTaken("--json")),
            true if self.pin => Err(CliError::StdoutTaken("--pin")),
            true if self.wait.is_some_and(|wait| wait.is_zero()) => Err(CliError::StdoutTaken("--wait 0")),
            _ => Ok(()),
        }
    }

    /// Returns whether only a daemon that takes orders can do it.
    fn is_for_daemon(&self) -> bool {
        self.wait.is_some() || self.pin || self.priority != 0
    }

    /// Returns whether the daemon whose socket was named is to do it.
    fn has_to_be_local(&self, context: &Context) -> bool {
        context.is_socket_named() && context.require_here().is_ok()
    }

    /// Decides where files of these names go, and makes sure that they can be written there.
    fn target(&self, names: &[&str]) -> Result<Target, CliError> {
        match self.output.as_deref() {
            None if self.pin => Ok(Target::Store),
            output if place::is_stdout(output) => Ok(Target::Stdout),
            output => Places::prepare(output, names, self.force).map(Target::Files),
        }
    }

    /// Finds the one shared file that has this name or CID; of several versions of a file the newest.
    fn find<'a>(&self, wanted: &str, files: &'a [SharedFile]) -> Result<&'a SharedFile, CliError> {
        match shared_files::find(files, wanted) {
            // What used to be the destination is the likeliest mistake.
            Err(CliError::NoSuchFile(_)) if self.files.len() > 1 => {
                Err(CliError::NoneOfTheFiles(wanted.to_owned()))
            }
            found => found,
        }
    }
}

impl GetOutput {
    fn new(mut results: Vec<GetResult>) -> Self {
        match results.len() {
            1 => Self::One(results.remove(0)),
            _ => Self::Several { files: results },
        }
    }
}

impl Output for GetOutput {
    fn show(&self) -> String {
        match self {
            Self::One(result) => result.show(),
            Self::Several { files } => files.iter().map(GetResult::show).collect(),
        }
    }
}

impl GetResult {
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
            _ if self.is_silent => String::new(),
            Some(path) => format!("{}: {}{from}\n", clean(path, 200), size(self.bytes)),
            None => format!("{}: {}, pinned\n", self.cid, size(self.bytes)),
        }
    }
}

fn wait(text: &str) -> Result<Duration, String> {
    let wait = period(text)?;
    if wait <= Duration::from_secs(31_536_000) {
        Ok(wait)
    } else {
        Err("from 0 seconds to a year".to_owned())
    }
}
