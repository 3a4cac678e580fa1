//! `free`: deletes files of this robot that are safe elsewhere.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::fields::Timestamp;
use crate::output::warn;
use crate::period::age;
use crate::text::{clean, count, size};
use clap::Args;
use control::Client;
use logs::{Answer, FreeRow, Logs, MAX_FREE_ROWS, Request};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

/// Maximum number of characters of a path that are shown.
const MAX_PATH_SHOWN: usize = 300;
/// Names of units, with the number of bytes in each.
const UNITS: [(&str, u64); 6] =
    [("", 1), ("k", 1000), ("m", 1_000_000), ("g", 1_000_000_000), ("t", 1_000_000_000_000), ("mi", 1 << 20)];

const EXAMPLES: &str = "\
Examples:
  dt-swarm-cli localhost free --dry-run                shows the files that could be deleted
  dt-swarm-cli localhost free --older-than 7d          asks before it deletes them
  dt-swarm-cli localhost free --until-free 20G --yes   deletes the oldest files until 20 GB of the disk are free

`free_after` and `free_own` in the section [logs] of the configuration do this without a user.";

/// Deletes files from the shared folders of this robot that are safe elsewhere.
///
/// A file is safe elsewhere if enough other robots keep it and are heard now, or if a robot with a role has uploaded it. In
/// the open swarm, any computer on the network can state that it keeps a file; there --in-open-swarm is needed.
/// Enough is one copy less than the swarm wants, but at least one: the others make another copy when this one has gone. A
/// file that a person pinned, that was withdrawn, or that was shared less than two minutes ago stays.
///
/// The daemon deletes the files, and only while they are unchanged. The other robots keep them, and this robot does not
/// fetch them back; `get` does.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Free {
    /// Only files that were last changed before this time, such as 7d or 12h
    #[arg(long, value_name = "TIME", value_parser = age, default_value = "0")]
    older_than: Duration,
    /// Only as many files, the oldest first, as are needed until so much of the disk is free, such as 20G or 500M
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    until_free: Option<u64>,
    /// Relies on the other robots also in the open swarm, where any computer can state that it keeps a file
    #[arg(long)]
    in_open_swarm: bool,
    /// Deletes the files without asking
    #[arg(long)]
    yes: bool,
    /// Only shows the files
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
}

/// The files that are safe elsewhere, and which of them were deleted.
#[derive(Debug, Serialize)]
pub(crate) struct Freed {
    /// The files, the oldest first; at most 128.
    files: Vec<FreeFile>,
    /// The number of all files that are safe elsewhere and fit the options.
    total: usize,
    /// The size of these files in bytes.
    bytes: u64,
    /// The size of the deleted files in bytes.
    freed_bytes: u64,
    /// Whether files were only shown.
    is_dry_run: bool,
    /// Whether the copies of other robots did not count, because this is the open swarm.
    needs_trust: bool,
}

/// A file that is safe elsewhere.
#[derive(Debug, Serialize)]
struct FreeFile {
    /// The CID of the file.
    cid: String,
    /// The path of the file.
    path: String,
    /// The size of the file in bytes.
    bytes: u64,
    /// When the file was last changed.
    modified_time: Timestamp,
    /// The number of other robots that are heard and keep the file.
    other_copies: usize,
    /// Whether the file is in a storage.
    is_uploaded: bool,
    /// Whether the file was deleted here.
    is_deleted: bool,
    /// Why the file was not deleted; `null` if it was, or was not to be.
    reason: Option<String>,
}

impl From<FreeRow> for FreeFile {
    fn from(FreeRow { cid, path, bytes, changed, holders, is_uploaded }: FreeRow) -> Self {
        Self {
            cid,
            path,
            bytes,
            modified_time: Timestamp(changed),
            other_copies: holders,
            is_uploaded,
            is_deleted: false,
            reason: None,
        }
    }
}

impl Command for Free {
    type Output = Freed;

    fn run(&self, context: &Context) -> Result<Freed, CliError> {
        let mut client = context.client()?;
        let mut freed = self.list(&mut client)?;
        if self.dry_run || freed.files.is_empty() {
            return Ok(freed);
        }
        if !self.yes && !ask(&freed)? {
            return Err(CliError::NotConfirmed);
        }
        // The question may have waited for longer than the connection.
        let mut client = context.client()?;
        freed.is_dry_run = false;
        self.delete(&mut client, &mut freed)?;
        // Each answer names a limited number of files.
        while freed.files.len() < freed.total && freed.files.iter().any(|file| file.is_deleted) {
            let mut more = self.list(&mut client)?;
            more.files.retain(|file| !freed.files.iter().any(|known| known.cid == file.cid));
            if more.files.is_empty() {
                break;
            }
            self.delete(&mut client, &mut more)?;
            freed.freed_bytes += more.freed_bytes;
            freed.files.append(&mut more.files);
        }
        Ok(freed)
    }
}

impl Free {
    fn list(&self, client: &mut Client) -> Result<Freed, CliError> {
        let (older_than, until_free) = (self.older_than.as_secs(), self.until_free);
        let request = Request::Freeable { older_than, until_free, believes_strangers: self.in_open_swarm };
        match client.call::<Logs>(&request)? {
            Answer::Freeable { files, count: total, bytes, needs_trust } => {
                let files = files.into_iter().map(FreeFile::from).collect();
                Ok(Freed { files, total, bytes, freed_bytes: 0, is_dry_run: true, needs_trust })
            }
            other => Err(client.unexpected(&other).into()),
        }
    }

    fn delete(&self, client: &mut Client, freed: &mut Freed) -> Result<(), CliError> {
        for files in freed.files.chunks_mut(MAX_FREE_ROWS) {
            let cids = files.iter().map(|file| file.cid.clone()).collect();
            let request = Request::Free { cids, believes_strangers: self.in_open_swarm };
            let answered = match client.call::<Logs>(&request)? {
                Answer::Freed { files } => files,
                other => return Err(client.unexpected(&other).into()),
            };
            let mut answered: BTreeMap<_, _> =
                answered.into_iter().map(|row| (row.cid, row.reason)).collect();
            for file in files {
                file.reason = answered.remove(&file.cid).unwrap_or_default();
                file.is_deleted = file.reason.is_none();
                if file.is_deleted {
                    freed.freed_bytes += file.bytes;
                }
            }
        }
        Ok(())
    }
}

/// Asks the user on the terminal whether to delete the files.
fn ask(files: &Freed) -> Result<bool, CliError> {
    if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        return Err(CliError::NeedsYes);
    }
    warn(files.list().trim_end());
    let question = format!("Delete {} here ({})? [y/N] ", count(files.total, "file"), size(files.bytes));
    io::stderr().write_all(question.as_bytes()).map_err(CliError::Output)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(CliError::Output)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || "a size is a number of bytes, or has a unit: k, M, G, T or Mi, such as 20G".to_owned();
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or_else(wrong)?;
    let number: f64 = number.parse().map_err(|_| wrong())?;
    // A float beyond the range of `u64` becomes the largest `u64`.
    Ok((number * *unit as f64) as u64)
}

impl Freed {
    fn list(&self) -> String {
        let mut shown: String = self.files.iter().map(FreeFile::show).collect();
        if self.total > self.files.len() {
            shown.push_str(&format!("and {} more\n", self.total - self.files.len()));
        }
        shown
    }
}

impl FreeFile {
    fn show(&self) -> String {
        let copies = match self.other_copies {
            1 => "1 other robot keeps it".to_owned(),
            number => format!("{number} other robots keep it"),
        };
        let stored = if self.is_uploaded { "; it is uploaded" } else { "" };
        let failed = self.reason.as_ref().map(|reason| format!("; not deleted: {}", clean(reason, 200)));
        let path = clean(&self.path, MAX_PATH_SHOWN);
        format!("{path} ({}): {copies}{stored}{}\n", size(self.bytes), failed.unwrap_or_default())
    }
}

impl Output for Freed {
    fn show(&self) -> String {
        if self.files.is_empty() {
            let none = "No file of this robot is safe elsewhere, as the options want it.\n";
            let trust = "In the open swarm any computer can state that it keeps a file. So the copies of other robots do not \
                         count, unless you add --in-open-swarm. `swarm init` makes a swarm with roles.\n";
            return none.to_owned() + if self.needs_trust { trust } else { "" };
        }
        let end = match self.is_dry_run {
            true => format!("{} ({}) could be deleted here.\n", count(self.total, "file"), size(self.bytes)),
            false => {
                let deleted = self.files.iter().filter(|file| file.is_deleted).count();
                format!(
                    "{} deleted here: {} freed. `get` fetches them back from other robots, and `get --from uploads` from \
                     the storage.\n",
                    count(deleted, "file"),
                    size(self.freed_bytes)
                )
            }
        };
        self.list() + &end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use dcache::Time;

    fn row(path: &str, holders: usize, is_uploaded: bool) -> FreeFile {
        let (cid, bytes, changed) = ("bafy".into(), 2_000_000, Time(1));
        FreeRow { cid, path: path.into(), bytes, changed, holders, is_uploaded }.into()
    }

    #[test]
    fn each_file_is_shown_with_the_places_where_it_is_safe() {
        let files = vec![row("/logs/a\u{1b}.bag", 3, false), row("/logs/b.bag", 1, true)];
        let mut freed =
            Freed { files, total: 3, bytes: 6_000_000, freed_bytes: 0, is_dry_run: true, needs_trust: false };
        let shown = freed.show();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines,
            [
                "/logs/a\\u{1b}.bag (2.0 MB): 3 other robots keep it",
                "/logs/b.bag (2.0 MB): 1 other robot keeps it; it is uploaded",
                "and 1 more",
                "3 files (6.0 MB) could be deleted here.",
            ]
        );
        (freed.is_dry_run, freed.total, freed.freed_bytes) = (false, 2, 2_000_000);
        freed.files[0].is_deleted = true;
        freed.files[1].reason = Some("it was changed meanwhile".into());
        let shown = freed.show();
        assert!(shown.contains("not deleted: it was changed meanwhile"), "{shown}");
        assert!(shown.contains("1 file deleted here: 2.0 MB freed"), "{shown}");
        vocabulary::checked(&freed);
    }

    #[test]
    fn sizes_with_and_without_a_unit_are_read() {
        for (text, size) in [
            ("20G", 20_000_000_000),
            ("0.5 MB", 500_000),
            ("7", 7),
            ("3Mi", 3 << 20),
            ("1kB", 1000),
            ("2t", 2_000_000_000_000),
        ] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "G", "-1", "1x", "1e3", "nan"] {
            assert!(bytes(text).is_err(), "{text}");
        }
    }
}
