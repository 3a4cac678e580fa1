//! `carry status`: shows the files that the daemon on this computer keeps until they are uploaded.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::Output;
use crate::output::fields::{FileRef, PeerRef};
use crate::output::names::Names;
use crate::tables::table;
use crate::text::{clean, count, size};
use clap::{Args, Subcommand};
use serde::Serialize;
use uploads::{Answer, CarriedList, CarriedRow, Request};

/// Maximum number of characters of a name that the table shows.
const MAX_NAME_SHOWN: usize = 48;

/// Shows the files that this robot carries until they are uploaded.
///
/// A robot carries files with `carry = true` in the section [uploads] of its configuration. It keeps them until another
/// robot has uploaded them.
#[derive(Debug, Args)]
pub(crate) struct Carry {
    #[command(subcommand)]
    command: CarryCommand,
}

#[derive(Debug, Subcommand)]
enum CarryCommand {
    /// Shows the files on board, the robots that shared them, and the limit.
    Status,
}

/// The files on board.
#[derive(Debug, Serialize)]
pub(crate) struct CarryStatus {
    /// Whether this robot carries files that it does not upload itself.
    is_carrying: bool,
    /// The limit of all files together.
    max_bytes: u64,
    /// The size of all files together.
    carried_bytes: u64,
    /// The first files.
    files: Vec<CarriedFile>,
    /// The number of all files.
    count: usize,
}

/// A file on board.
#[derive(Debug, Serialize)]
struct CarriedFile {
    #[serde(flatten)]
    file: FileRef,
    /// The robot for which the file is carried.
    uploader: PeerRef,
    /// Whether the whole file is here. Otherwise it is being fetched.
    is_here: bool,
}

impl Command for Carry {
    type Output = CarryStatus;

    fn run(&self, context: &Context) -> Result<CarryStatus, CliError> {
        let CarryCommand::Status = self.command;
        let mut client = context.client()?;
        match client.call::<uploads::Uploads>(&Request::Carried {})? {
            Answer::Carried(list) => Ok(CarryStatus::new(list, &context.names())),
            other => Err(client.unexpected(&other).into()),
        }
    }
}

impl CarryStatus {
    fn new(list: CarriedList, names: &Names) -> Self {
        let CarriedList { is_carrying, max_bytes, files, count, bytes } = list;
        let file = |row: CarriedRow| CarriedFile {
            file: FileRef { cid: row.cid, name: Some(row.name), bytes: Some(row.bytes) },
            uploader: names.of(row.uploader),
            is_here: row.is_here,
        };
        let files = files.into_iter().map(file).collect();
        Self { is_carrying, max_bytes, carried_bytes: bytes, files, count }
    }
}

impl Output for CarryStatus {
    fn show(&self) -> String {
        let mode = match self.is_carrying {
            true => "This robot carries files for others.",
            false => "This robot carries no files for others (`carry` in the section [uploads]).",
        };
        let sum = format!(
            "{}, {} of at most {}\n",
            count(self.count, "file"),
            size(self.carried_bytes),
            size(self.max_bytes)
        );
        if self.files.is_empty() {
            return format!("{mode}\n{sum}");
        }
        let mut rows = table(&["name", "size", "for", "state"]);
        for CarriedFile { file, uploader, is_here } in &self.files {
            rows.add_row([
                clean(file.name.as_deref().unwrap_or_default(), MAX_NAME_SHOWN),
                size(file.bytes.unwrap_or_default()),
                uploader.show(),
                if *is_here { "on board" } else { "being fetched" }.to_owned(),
            ]);
        }
        format!("{mode}\n{}\n\n{sum}", rows.trim_fmt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use dcache::Keypair;

    #[test]
    fn the_files_on_board_are_shown_with_their_robots_and_the_limit() {
        let row = |name: &str, is_here| CarriedRow {
            cid: "bafy".into(),
            name: name.into(),
            bytes: 1_000_000,
            uploader: Keypair::from_seed([1; 32]).peer_id(),
            is_here,
        };
        let files = vec![row("a\u{1b}.bag", true), row("b.bag", false)];
        let list = CarriedList { is_carrying: true, max_bytes: 5_000_000, files, count: 2, bytes: 2_000_000 };
        let status = CarryStatus::new(list, &Names::default());
        let shown = status.show();
        for part in ["on board", "being fetched", "2 files, 2.0 MB of at most 5.0 MB"] {
            assert!(shown.contains(part), "{part} in {shown}");
        }
        assert!(!shown.contains('\u{1b}'));
        assert_eq!(vocabulary::checked(&status)["files"][0]["is_here"], true);
        let none = CarriedList { is_carrying: false, max_bytes: 1, files: Vec::new(), count: 0, bytes: 0 };
        assert!(CarryStatus::new(none, &Names::default()).show().contains("`carry`"));
    }
}
