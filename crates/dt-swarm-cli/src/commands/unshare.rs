//! `unshare`: withdraws a file of this robot from the swarm.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::unshared::UnsharedFile;
use crate::text::count;
use clap::Args;
use logs::{Answer, Logs, Request};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Time between two questions whether the holders dropped the file.
const AGAIN: Duration = Duration::from_millis(300);

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost unshare run/example.bag
  dt-swarm-cli localhost unshare example.bag --wait 60
  dt-swarm-cli localhost unshare                           lists the unshared files, and who still keeps them

To remove the file of another robot, use `discard`. To free only the disk of this robot, delete the file.";

/// Withdraws a file of this robot: all robots drop it, and it is not shared any more.
///
/// The file stays in the shared folder, and nothing is shared at its path until `share`, also after a restart. A robot
/// that is away drops the file when it hears of this. Only the robot that shared a file can unshare it.
///
/// A robot confirms by no longer stating that it keeps the file. This command waits for all of them for --wait seconds.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Unshare {
    /// The file: its path or the end of it, its name, or its CID as `report --wide` shows it [default: lists the unshared files]
    #[arg(value_name = "FILE|CID")]
    file: Option<String>,
    /// Waits this many seconds for the robots that keep the file.
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(..=3600))]
    wait: u64,
}

/// The unshared files.
#[derive(Debug, Serialize)]
pub(crate) struct UnsharedFiles {
    /// The files, the last unshared one first; at most 100.
    files: Vec<UnsharedFile>,
    /// The number of all unshared files.
    total: usize,
    /// Whether the command unshared a file, and did not only list the files.
    is_changed: bool,
}

impl Command for Unshare {
    type Output = UnsharedFiles;

    fn run(&self, context: &Context) -> Result<UnsharedFiles, CliError> {
        context.require_here()?;
        let Some(file) = &self.file else {
            return ask(context, &Request::Unshared { cid: None }, false);
        };
        let mut document = ask(context, &Request::Unshare { file: file.clone() }, true)?;
        let until = Instant::now() + Duration::from_secs(self.wait);
        while document.files.iter().any(UnsharedFile::is_waiting) && Instant::now() < until {
            std::thread::sleep(AGAIN);
            let cid = document.files.first().map(|file| file.cid().to_owned());
            document = ask(context, &Request::Unshared { cid }, true)?;
        }
        Ok(document)
    }
}

fn ask(context: &Context, request: &Request, is_changed: bool) -> Result<UnsharedFiles, CliError> {
    let mut client = context.client()?;
    match client.call::<Logs>(request)? {
        Answer::Unshared { files, count } => {
            let names = context.names();
            let files = files.into_iter().map(|row| UnsharedFile::new(row, &names)).collect();
            Ok(UnsharedFiles { files, total: count, is_changed })
        }
        other => Err(client.unexpected(&other).into()),
    }
}

impl Output for UnsharedFiles {
    fn show(&self) -> String {
        if self.files.is_empty() {
            return "No file is unshared.\n".to_owned();
        }
        let mut shown: String = self.files.iter().map(UnsharedFile::show).collect();
        if self.is_changed {
            shown.push_str("`share` undoes this.\n");
        } else if self.total > self.files.len() {
            shown.push_str(&format!("{} in total.\n", count(self.total, "file")));
        }
        shown
    }
}
