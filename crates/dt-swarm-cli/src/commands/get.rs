//! `get`: fetches files. On the robot itself the daemon fetches them ([`by_daemon`]). From another host, or if the
//! daemon's control socket cannot be used, this program fetches them ([`from_host`]).

mod by_daemon;
mod from_host;
mod from_storage;
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
use clap::{Args, ValueEnum};
use dcache::buckets;
use logs::SharedFile;
use place::{Places, Target};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost get example.bag               writes the file into this folder, and waits as long as it takes
  dt-swarm-cli localhost get a.bag b.bag -o runs/      writes several files into a folder, and creates it if needed
  dt-swarm-cli localhost get bafy… -o /data/run7.bag --priority 5
  dt-swarm-cli localhost get notes.txt -o - | less     writes the file to standard output
  dt-swarm-cli localhost get example.bag --wait 0      only starts the download; `transfers` shows its progress
  dt-swarm-cli localhost get example.bag --pin         keeps the file in the daemon's store, and serves it to other peers
  dt-swarm-cli localhost get example.bag --from uploads   fetches the file from the storage to which this robot uploads
  dt-swarm-cli duckie.local get example.bag            fetches the copy of that host";

/// Fetches files by name or CID, and checks every block against the CID. A file gets the time of change that it had on the
/// robot that shared it.
///
/// On the robot itself the daemon fetches the files, from any peer that has them. It waits until a peer has a file, and
/// it continues after a restart. The download also continues after Ctrl-C, except with `-o -`.
///
/// With `--from uploads` the daemon on this computer reads the files from the `destination` in the section [uploads] of its
/// configuration, with its credentials. The SHA-256 of the file must be the one in the metadata of the object.
///
/// From another HOST, this program itself fetches the copy that HOST holds. Ctrl-C then leaves no partial files behind.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Get {
    /// The names of the files, or their CIDs as `report` shows them. A name means the newest version.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// Destination: a folder, or for one file also its new name, or - for standard output [default: this folder].
    /// In a folder, a leading dot of a file name becomes _
    #[arg(short, long, value_name = "DESTINATION")]
    output: Option<PathBuf>,
    /// Overwrites existing files.
    #[arg(long)]
    force: bool,
    /// Waits at most this long, such as 20s or 5min; the download continues afterwards [default: until all files are
    /// there]
    #[arg(long, value_name = "SECONDS", value_parser = wait)]
    wait: Option<Duration>,
    /// Priority of the download. Downloads with a higher priority are fetched first.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    priority: i32,
    /// Keeps the files pinned in the daemon's store. They are written to a path only if -o names one.
    #[arg(long)]
    pin: bool,
    /// Where the files come from.
    #[arg(long, value_enum, value_name = "SOURCE", default_value_t = Origin::Peers)]
    from: Origin,
}

/// Where files come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Origin {
    /// The peers that have them.
    Peers,
    /// The storage to which the daemon on this computer uploads.
    Uploads,
}

/// The output of `get`.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum GetOutput {
    /// The result of one file.
    One(GetResult),
    /// The results of several files.
    Several {
        /// One result for each file, in the order of the command line.
        files: Vec<GetResult>,
    },
}

/// A file that was fetched, or a download that continues in the background.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum GetResult {
    Fetched(Fetched),
    /// The state of the download, with its number.
    Ordered(Box<Transfer>),
}

/// A file that was fetched.
#[derive(Debug, Serialize)]
pub(crate) struct Fetched {
    /// The CID of the content.
    cid: String,
    /// The size of the file in bytes.
    bytes: u64,
    /// The path to which it was written; `null` when it is only pinned, or was written to standard output.
    path: Option<String>,
    /// The peer whose copy was fetched; `null` when the daemon on this computer fetched it from any peers.
    source: Option<PeerRef>,
    #[serde(skip)]
    host: Option<String>,
    /// Whether the file was written to standard output, so that no message may be printed there.
    #[serde(skip)]
    is_silent: bool,
}

impl Command for Get {
    type Output = GetOutput;

    fn run(&self, context: &Context) -> Result<GetOutput, CliError> {
        self.check(context.form())?;
        let reading = context.read_shared(&[
            buckets::IPFS_ADDRESSES.pattern(),
            buckets::UPLOADS.pattern(),
            HOSTNAMES,
        ])?;
        let Reading { answer, catalogs, .. } = &reading;
        let files = shared_files::list(&answer.set, catalogs, answer.now);
        let results = match self.from {
            Origin::Uploads => from_storage::get(self, context, &reading, &files),
            Origin::Peers => match context.client() {
                Ok(client) => by_daemon::get(self, context, client, &files),
                Err(error) if self.is_for_daemon() || self.has_to_be_local(context) => Err(error),
                Err(_) => from_host::get(self, context, &reading, &files),
            },
        };
        let results = results?;
        keep_times(&results, &files);
        Ok(GetOutput::new(results))
    }
}

impl Get {
    /// Refuses options that contradict each other.
    fn check(&self, form: Form) -> Result<(), CliError> {
        match place::is_stdout(self.output.as_deref()) {
            true if form == Form::Json => Err(CliError::StdoutTaken("--json")),
            true if self.pin => Err(CliError::StdoutTaken("--pin")),
            true if self.wait.is_some_and(|wait| wait.is_zero()) => Err(CliError::StdoutTaken("--wait 0")),
            _ if self.from == Origin::Uploads && self.is_for_daemon() => Err(CliError::NotFromStorage),
            _ => Ok(()),
        }
    }

    /// Returns whether the options need the daemon on this computer.
    fn is_for_daemon(&self) -> bool {
        self.wait.is_some() || self.pin || self.priority != 0
    }

    /// Returns whether the command line names the control socket of a daemon on this computer, which then has to fetch
    /// the files.
    fn has_to_be_local(&self, context: &Context) -> bool {
        context.is_socket_named() && context.require_here().is_ok()
    }

    /// Determines where the files with these names are written, and checks that they can be written there.
    fn target(&self, names: &[&str]) -> Result<Target, CliError> {
        match self.output.as_deref() {
            None if self.pin => Ok(Target::Store),
            output if place::is_stdout(output) => Ok(Target::Stdout),
            output => Places::prepare(output, names, self.force).map(Target::Files),
        }
    }

    /// Finds the one shared file with this name or CID. Of several versions of a file, finds the newest.
    fn find<'a>(&self, wanted: &str, files: &'a [SharedFile]) -> Result<&'a SharedFile, CliError> {
        match shared_files::find(files, wanted) {
            // In earlier versions the last argument was the destination. The error mentions -o for users who expect
            // this.
            Err(CliError::NoSuchFile(_)) if self.files.len() > 1 => {
                Err(CliError::NoneOfTheFiles(wanted.to_owned()))
            }
            found => found,
        }
    }
}

/// Gives the fetched files the time of change that their uploaders state. The CID of a shared file depends on this time.
/// So a file that is fetched back into its shared folder is the same file for the swarm.
fn keep_times(results: &[GetResult], files: &[SharedFile]) {
    for result in results {
        let GetResult::Fetched(Fetched { cid, path: Some(path), .. }) = result else { continue };
        let file = files.iter().find(|file| file.cid.to_string() == *cid);
        if let Some(known) = file.and_then(|file| file.description.as_ref()) {
            // A file system that does not keep times does not make the file worse.
            let _ = place::set_changed(Path::new(path), known.changed);
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
        Err("the waiting time must be from 0 seconds to a year".to_owned())
    }
}
