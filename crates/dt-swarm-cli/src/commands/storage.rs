//! `storage`: shows the disk usage of the store, the pinned content, and the files that are served in place.

use super::Command;
use crate::context::Context;
use crate::error::CliError;
use crate::output::fields::{FileRef, Timestamp};
use crate::output::{Form, Output};
use crate::tables::table;
use crate::text::{clean, count, size};
use clap::Args;
use content::{Answer, Content, FileRow, FileState, PinRow, Request};
use control::Client;
use dcache::Time;
use logs::Logs;
use serde::Serialize;
use std::fmt::Write as _;

/// Maximum number of characters of a name that a table shows.
const MAX_NAME_SHOWN: usize = 48;
/// Maximum number of characters of a path that a table shows.
const MAX_PATH_SHOWN: usize = 100;
/// Maximum number of rows of a table in the text output. The JSON output has all rows.
const MAX_ROWS: usize = 50;
/// Number of rows of a list after which the program requests no more for the JSON output. It is far above the number
/// of rows that a daemon is expected to have.
const MAX_TOLD: usize = 1_000_000;

/// Shows the disk usage of the store, the pinned content, and the files that are served in place.
///
/// A file that is served in place is not copied into the store: its blocks are read from the file itself.
#[derive(Debug, Args)]
pub(crate) struct Storage {}

/// The store of the daemon.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Store {
    /// Size of all stored blocks in bytes.
    used_bytes: u64,
    /// Maximum size of all stored blocks in bytes.
    max_bytes: u64,
    /// The number of stored blocks.
    blocks: usize,
    /// Free space of the disk in bytes.
    free_bytes: u64,
    /// Free space, in bytes, that the daemon leaves for other programs.
    min_free_bytes: u64,
    /// Why no block can be stored now; `null` when blocks can be stored.
    reason: Option<String>,
    /// Files of the swarm that this robot should keep, but for which there is no space.
    waiting_files: Vec<WaitingFile>,
    /// The total number of files that wait for space. `waiting_files` may contain only some of them.
    waiting_files_total: usize,
    /// The pinned roots.
    pins: Vec<Pin>,
    /// The total number of pinned roots.
    pins_total: usize,
    /// The number of pinned roots with missing blocks.
    incomplete_pins_total: usize,
    /// The files that are served in place.
    served_files: Vec<ServedFile>,
    /// The total number of files that are served in place.
    served_files_total: usize,
    /// The size in bytes of the files listed in `served_files`.
    served_bytes: u64,
}

/// A file that waits for space.
#[derive(Clone, Debug, Serialize)]
struct WaitingFile {
    /// The CID and name of the file, and the approximate number of bytes that it needs.
    #[serde(flatten)]
    file: FileRef,
    /// The reason why there is no space, for example that the disk is full.
    reason: String,
}

/// A pinned root.
#[derive(Clone, Debug, Serialize)]
struct Pin {
    /// The CID of the root, its name in the swarm, and the total size of its blocks in bytes. A block that occurs
    /// several times is counted once.
    #[serde(flatten)]
    file: FileRef,
    /// When it was pinned.
    pinned_time: Timestamp,
    /// Whether all blocks under this root are stored.
    is_whole: bool,
}

/// A file that is served in place.
#[derive(Clone, Debug, Serialize)]
struct ServedFile {
    /// The path of the file.
    path: String,
    /// Its size when it was added.
    bytes: u64,
    /// The number of its blocks.
    blocks: usize,
    /// The number of blocks that the file no longer contains.
    missing_blocks: usize,
    /// The present state of the file: `matches`, `changed` or `gone`.
    state: FileState,
}

impl Command for Storage {
    type Output = Store;

    fn run(&self, context: &Context) -> Result<Store, CliError> {
        let mut client = context.client()?;
        let most = if context.form() == Form::Json { MAX_TOLD } else { MAX_ROWS };
        let storage = match client.call::<Content>(&Request::Storage {})? {
            Answer::Storage(storage) => storage,
            other => return Err(client.unexpected(&other).into()),
        };
        let waiting = waiting(&mut client)?;
        let pins = pins(&mut client, most)?;
        Ok(Store::new(storage, waiting, pins, files(&mut client, most)?))
    }
}

/// Returns the files of the swarm for which there is no space, and their total number.
fn waiting(client: &mut Client) -> Result<(Vec<WaitingFile>, usize), CliError> {
    match client.call::<Logs>(&logs::Request::Waiting {})? {
        logs::Answer::Waiting { files, count } => {
            Ok((files.into_iter().map(WaitingFile::from).collect(), count))
        }
        other => Err(client.unexpected(&other).into()),
    }
}

/// Returns the pins with their names in the swarm. If there are more than `most`, returns at least `most` of them.
fn pins(client: &mut Client, most: usize) -> Result<Vec<Pin>, CliError> {
    let mut all = Vec::new();
    while all.len() < most {
        match client.call::<Content>(&Request::Pins { from: all.len() })? {
            Answer::Pins { pins } if pins.is_empty() => break,
            Answer::Pins { pins } => all.extend(named(client, pins)?),
            other => return Err(client.unexpected(&other).into()),
        }
    }
    Ok(all)
}

fn named(client: &mut Client, pins: Vec<PinRow>) -> Result<Vec<Pin>, CliError> {
    let cids = pins.iter().map(|pin| pin.cid.clone()).collect();
    match client.call::<Logs>(&logs::Request::Names { cids })? {
        logs::Answer::Names { names } => {
            let names = names.into_iter().chain(std::iter::repeat(None));
            Ok(pins.into_iter().zip(names).map(|(pin, name)| Pin::new(pin, name)).collect())
        }
        other => Err(client.unexpected(&other).into()),
    }
}

fn files(client: &mut Client, most: usize) -> Result<Vec<FileRow>, CliError> {
    let mut all = Vec::new();
    while all.len() < most {
        match client.call::<Content>(&Request::Files { from: all.len() })? {
            Answer::Files { files } if files.is_empty() => break,
            Answer::Files { files } => all.extend(files),
            other => return Err(client.unexpected(&other).into()),
        }
    }
    Ok(all)
}

impl Store {
    fn new(
        storage: content::Storage,
        (waiting_files, waiting_files_total): (Vec<WaitingFile>, usize),
        pins: Vec<Pin>,
        files: Vec<FileRow>,
    ) -> Self {
        Self {
            used_bytes: storage.used,
            max_bytes: storage.max,
            blocks: storage.blocks,
            free_bytes: storage.free,
            min_free_bytes: storage.min_free,
            reason: storage.full,
            waiting_files,
            waiting_files_total,
            pins,
            pins_total: storage.pins,
            incomplete_pins_total: storage.incomplete_pins,
            served_bytes: files.iter().map(|file| file.bytes).sum(),
            served_files: files.into_iter().map(ServedFile::from).collect(),
            served_files_total: storage.files,
        }
    }
}

impl From<logs::WaitingFile> for WaitingFile {
    fn from(logs::WaitingFile { cid, name, bytes, reason }: logs::WaitingFile) -> Self {
        Self { file: FileRef { cid, name, bytes: Some(bytes) }, reason }
    }
}

impl Pin {
    fn new(PinRow { cid, time, bytes, is_whole }: PinRow, name: Option<String>) -> Self {
        let file = FileRef { cid, name, bytes: Some(bytes) };
        Self { file, pinned_time: Timestamp(Time(time)), is_whole }
    }
}

impl From<FileRow> for ServedFile {
    fn from(FileRow { path, bytes, blocks, missing_blocks, state }: FileRow) -> Self {
        Self { path, bytes, blocks, missing_blocks, state }
    }
}

impl Output for Store {
    fn show(&self) -> String {
        let mut shown = format!(
            "{} of {} used by {}; {} of the disk free, of which {} are reserved for other programs\n",
            size(self.used_bytes),
            size(self.max_bytes),
            count(self.blocks, "block"),
            size(self.free_bytes),
            size(self.min_free_bytes)
        );
        // Writing to a String does not fail.
        if let Some(reason) = &self.reason {
            let _ = writeln!(
                shown,
                "Nothing can be stored now: {}. The daemon continues by itself when there is space.",
                clean(reason, 200)
            );
        }
        for WaitingFile { file, reason } in &self.waiting_files {
            let name = clean(file.name.as_deref().unwrap_or(&file.cid), MAX_NAME_SHOWN);
            let (needed, reason) = (size(file.bytes.unwrap_or_default()), clean(reason, 200));
            let _ = writeln!(
                shown,
                "No space for {name} ({needed}): {reason}. It is fetched when there is space."
            );
        }
        shown + &self.show_pins() + &self.show_files()
    }
}

impl Store {
    fn show_pins(&self) -> String {
        if self.pins.is_empty() {
            return "\nNothing is pinned.\n".to_owned();
        }
        let mut rows = table(&["pinned", "size", "CID", ""]);
        for Pin { file, is_whole, .. } in self.pins.iter().take(MAX_ROWS) {
            let name = file.name.as_deref().map_or("?".to_owned(), |name| clean(name, MAX_NAME_SHOWN));
            let whole = if *is_whole { "" } else { "incomplete" };
            let bytes = size(file.bytes.unwrap_or_default());
            rows.add_row([name, bytes, clean(&file.cid, 120), whole.to_owned()]);
        }
        let incomplete = match self.incomplete_pins_total {
            0 => String::new(),
            number => format!(", {number} of them incomplete"),
        };
        format!("\n{}\n{}{incomplete}\n", rows.trim_fmt(), total(self.pins_total, "pin"))
    }

    fn show_files(&self) -> String {
        if self.served_files.is_empty() {
            return "\nNo file is served in place.\n".to_owned();
        }
        let mut rows = table(&["served in place", "size", "now"]);
        for file in self.served_files.iter().take(MAX_ROWS) {
            rows.add_row([clean(&file.path, MAX_PATH_SHOWN), size(file.bytes), file.show_state()]);
        }
        format!("\n{}\n{}\n", rows.trim_fmt(), total(self.served_files_total, "file"))
    }
}

impl ServedFile {
    fn show_state(&self) -> String {
        let lost = match self.missing_blocks {
            0 => String::new(),
            missing => format!(", {missing} of {} no longer in the file", count(self.blocks, "block")),
        };
        let state = match self.state {
            FileState::Matches => "unchanged",
            FileState::Changed => "changed",
            FileState::Gone => "gone",
        };
        state.to_owned() + &lost
    }
}

fn total(number: usize, what: &str) -> String {
    let hidden = if number > MAX_ROWS { " (--json lists them all)" } else { "" };
    count(number, what) + hidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;

    fn store() -> Store {
        let waiting = logs::WaitingFile {
            cid: "bafy".into(),
            name: Some("big\u{1b}.bag".into()),
            bytes: 2_000_000_000,
            reason: "the disk is full".into(),
        };
        let storage = content::Storage {
            used: 1_500_000,
            max: 8_000_000_000,
            blocks: 7,
            free: 1000,
            min_free: 500,
            pins: 51,
            incomplete_pins: 51,
            files: 1,
            full: Some("the disk is full".into()),
        };
        let pin = PinRow { cid: "bafypin".into(), time: 1, bytes: 5, is_whole: false };
        let pin = Pin::new(pin, None);
        let file = FileRow {
            path: "/home/duckie/a.bag".into(),
            bytes: 868_400,
            blocks: 4,
            missing_blocks: 1,
            state: FileState::Changed,
        };
        Store::new(storage, (vec![waiting.into()], 1), vec![pin; 51], vec![file])
    }

    #[test]
    fn a_full_disk_and_waiting_files_are_shown() {
        let shown = store().show();
        assert!(shown.starts_with("1.5 MB of 8.0 GB used by 7 blocks; 1.0 kB of the disk free"), "{shown}");
        assert!(shown.contains("No space for big\\u{1b}.bag (2.0 GB): the disk is full."), "{shown}");
        assert!(shown.contains("51 pins (--json lists them all), 51 of them incomplete"), "{shown}");
        assert!(shown.contains("changed, 1 of 4 blocks no longer in the file"), "{shown}");
        let none = Store { pins: Vec::new(), served_files: Vec::new(), ..store() };
        assert!(none.show().contains("Nothing is pinned."));
    }

    #[test]
    fn the_json_document_has_every_field() {
        let json = vocabulary::checked(&store());
        assert_eq!(json["pins"].as_array().unwrap().len(), 51);
        assert_eq!(json["pins"][0]["pinned_time"], "1970-01-01T00:00:01Z");
        assert_eq!(
            (&json["served_files"][0]["state"], &json["served_bytes"]),
            (&"changed".into(), &868_400.into())
        );
    }
}
