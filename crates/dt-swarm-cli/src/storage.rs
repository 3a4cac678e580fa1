//! `storage`: how full the store is, what is pinned, and which files are served where they are.

use crate::arguments::Arguments;
use crate::error::CliError;
use crate::local;
use crate::tables::table;
use crate::text::{clean, count, size};
use control::{Answer, Client, FileRow, FileState, PinRow, Request, Storage};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// The most characters of names and paths that a table shows.
const MAX_NAME_SHOWN: usize = 48;
const MAX_PATH_SHOWN: usize = 100;
/// The most rows of a table for people; programs get all.
const MAX_ROWS: usize = 50;
/// No daemon has more to tell.
const MAX_TOLD: usize = 1_000_000;

/// Everything that is told.
struct Told {
    storage: Storage,
    pins: Vec<PinRow>,
    files: Vec<FileRow>,
}

/// `storage`.
pub(crate) fn run(arguments: &Arguments) -> Result<(String, Value), CliError> {
    let mut client = local::open(arguments)?;
    // People see no more than the first ones.
    let most = if arguments.json { MAX_TOLD } else { MAX_ROWS };
    let (storage, pins, files) = (storage(&mut client)?, pins(&mut client, most)?, files(&mut client, most)?);
    let told = Told { storage, pins, files };
    Ok((show(&told), told.json()))
}

fn storage(client: &mut Client) -> Result<Storage, CliError> {
    match client.ask(&Request::Storage {})? {
        Answer::Storage(storage) => Ok(storage),
        other => Err(client.unexpected(&other).into()),
    }
}

fn pins(client: &mut Client, most: usize) -> Result<Vec<PinRow>, CliError> {
    let mut all = Vec::new();
    while all.len() < most {
        match client.ask(&Request::Pins { from: all.len() })? {
            Answer::Pins { pins } if pins.is_empty() => break,
            Answer::Pins { pins } => all.extend(pins),
            other => return Err(client.unexpected(&other).into()),
        }
    }
    Ok(all)
}

fn files(client: &mut Client, most: usize) -> Result<Vec<FileRow>, CliError> {
    let mut all = Vec::new();
    while all.len() < most {
        match client.ask(&Request::Files { from: all.len() })? {
            Answer::Files { files } if files.is_empty() => break,
            Answer::Files { files } => all.extend(files),
            other => return Err(client.unexpected(&other).into()),
        }
    }
    Ok(all)
}

impl Told {
    fn json(&self) -> Value {
        let served: u64 = self.files.iter().map(|file| file.bytes).sum();
        json!({
            "used": self.storage.used,
            "max": self.storage.max,
            "blocks": self.storage.blocks,
            "free": self.storage.free,
            "min_free": self.storage.min_free,
            "full": self.storage.full,
            "waiting": self.storage.waiting,
            "waiting_count": self.storage.waiting_count,
            "pins": self.pins,
            "files": self.files,
            "served_in_place": served,
        })
    }
}

fn show(told: &Told) -> String {
    let storage = &told.storage;
    let mut shown = format!(
        "{} of {} used by {}; {} of the disk free, of which {} are left for others\n",
        size(storage.used),
        size(storage.max),
        count(storage.blocks, "block"),
        size(storage.free),
        size(storage.min_free)
    );
    // Writing to a String does not fail.
    if let Some(reason) = &storage.full {
        let _ = writeln!(
            shown,
            "Nothing can be stored now: {}. It goes on by itself when there is room.",
            clean(reason, 200)
        );
    }
    for file in &storage.waiting {
        let name = file.name.as_deref().unwrap_or(&file.cid);
        let (name, reason) = (clean(name, MAX_NAME_SHOWN), clean(&file.reason, 200));
        let _ = writeln!(
            shown,
            "No room for {name} ({}): {reason}. It is fetched when there is.",
            size(file.bytes)
        );
    }
    shown += &show_pins(&told.pins, storage);
    shown += &show_files(&told.files, storage);
    shown
}

fn show_pins(pins: &[PinRow], storage: &Storage) -> String {
    if pins.is_empty() {
        return "\nNothing is pinned.\n".to_owned();
    }
    let mut rows = table(&["pinned", "size", "CID", ""]);
    for pin in pins.iter().take(MAX_ROWS) {
        let name = pin.name.as_deref().map_or("?".to_owned(), |name| clean(name, MAX_NAME_SHOWN));
        let whole = if pin.is_whole { "" } else { "not whole" };
        rows.add_row([name, size(pin.bytes), clean(&pin.cid, 120), whole.to_owned()]);
    }
    let incomplete = match storage.incomplete_pins {
        0 => String::new(),
        number => format!(", {number} of them not whole"),
    };
    format!("\n{}\n{}{incomplete}\n", rows.trim_fmt(), total(storage.pins, "pin"))
}

fn show_files(files: &[FileRow], storage: &Storage) -> String {
    if files.is_empty() {
        return "\nNo file is served in place.\n".to_owned();
    }
    let mut rows = table(&["served in place", "size", "now"]);
    for file in files.iter().take(MAX_ROWS) {
        rows.add_row([clean(&file.path, MAX_PATH_SHOWN), size(file.bytes), state(file)]);
    }
    format!("\n{}\n{}\n", rows.trim_fmt(), total(storage.files, "file"))
}

fn state(file: &FileRow) -> String {
    let lost = match file.missing_blocks {
        0 => String::new(),
        missing => format!(", {missing} of {} not in it any more", count(file.blocks, "block")),
    };
    let words = match file.state {
        FileState::Matches => "as it was",
        FileState::Changed => "changed",
        FileState::Gone => "gone",
    };
    words.to_owned() + &lost
}

fn total(number: usize, what: &str) -> String {
    let hidden = if number > MAX_ROWS { " (--json lists them all)" } else { "" };
    count(number, what) + hidden
}

#[cfg(test)]
mod tests {
    use super::*;
    use control::Waiting;

    fn told() -> Told {
        let waiting = Waiting {
            cid: "bafy".into(),
            name: Some("big\u{1b}.bag".into()),
            bytes: 2_000_000_000,
            reason: "the disk is full".into(),
        };
        let storage = Storage {
            used: 1_500_000,
            max: 8_000_000_000,
            blocks: 7,
            free: 1000,
            min_free: 500,
            pins: 51,
            incomplete_pins: 51,
            files: 1,
            full: Some("the disk is full".into()),
            waiting: vec![waiting],
            waiting_count: 1,
        };
        let pin = PinRow { cid: "bafypin".into(), name: None, time: 1, bytes: 5, is_whole: false };
        let file = FileRow {
            path: "/home/duckie/a.bag".into(),
            bytes: 868_400,
            blocks: 4,
            missing_blocks: 1,
            state: FileState::Changed,
        };
        Told { storage, pins: vec![pin; 51], files: vec![file] }
    }

    #[test]
    fn says_what_is_full_and_what_waits() {
        let shown = show(&told());
        assert!(shown.starts_with("1.5 MB of 8.0 GB used by 7 blocks; 1.0 kB of the disk free"), "{shown}");
        assert!(shown.contains("No room for big\\u{1b}.bag (2.0 GB): the disk is full."), "{shown}");
        assert!(shown.contains("51 pins (--json lists them all), 51 of them not whole"), "{shown}");
        assert!(shown.contains("changed, 1 of 4 blocks not in it any more"), "{shown}");
        let none = Told { pins: Vec::new(), files: Vec::new(), ..told() };
        assert!(show(&none).contains("Nothing is pinned."));
    }

    #[test]
    fn programs_get_everything() {
        let json = told().json();
        assert_eq!(json["pins"].as_array().unwrap().len(), 51);
        assert_eq!(
            (&json["files"][0]["state"], &json["served_in_place"]),
            (&"changed".into(), &868_400.into())
        );
    }
}
