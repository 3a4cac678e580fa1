//! What is said of content: what is stored, what is pinned, what is served where it lies.

use serde::{Deserialize, Serialize};

/// How far a piece of work is that takes its time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Bytes that are done.
    pub done: u64,
    /// Bytes that are to be done, as far as that is known.
    pub total: Option<u64>,
}

/// Content that was added or pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// Its root.
    pub cid: String,
    /// The bytes of all its blocks.
    pub bytes: u64,
}

/// What was thrown away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freed {
    /// Blocks.
    pub blocks: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are served in place no more. They are not touched.
    pub files: usize,
}

/// How full the store is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Bytes of all stored blocks.
    pub used: u64,
    /// The most bytes that they may have.
    pub max: u64,
    /// How many blocks are stored.
    pub blocks: usize,
    /// Bytes of the disk that are free.
    pub free: u64,
    /// How many of them are left for others.
    pub min_free: u64,
    /// How many roots are pinned.
    pub pins: usize,
    /// Of how many of these blocks are missing.
    pub incomplete_pins: usize,
    /// How many files are served where they are.
    pub files: usize,
    /// Why nothing can be stored just now, in words for people.
    pub full: Option<String>,
    /// Files of the swarm that are to be kept, and for which there is no room.
    pub waiting: Vec<Waiting>,
    /// How many there are; not all are listed.
    pub waiting_count: usize,
}

/// A file that waits for room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// Its root.
    pub cid: String,
    /// Its name, as far as it is known.
    pub name: Option<String>,
    /// About how many bytes it needs.
    pub bytes: u64,
    /// What is full, in words for people.
    pub reason: String,
}

/// A pinned root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinRow {
    /// The root.
    pub cid: String,
    /// What it is called in the swarm, if it is.
    pub name: Option<String>,
    /// When it was pinned, in Unix seconds.
    pub time: u64,
    /// The bytes of all its different blocks.
    pub bytes: u64,
    /// Whether all of them are there.
    pub is_whole: bool,
}

/// A file that is served where it lies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRow {
    /// Where.
    pub path: String,
    /// Its length when it was added, in bytes.
    pub bytes: u64,
    /// Of how many blocks it consists.
    pub blocks: usize,
    /// How many of these are not in it any more.
    pub missing_blocks: usize,
    /// How it looks now.
    pub state: FileState,
}

/// How a file looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// As it did when it was added.
    Matches,
    /// Otherwise. What of it still has the right hash is served.
    Changed,
    /// It is not there, or may not be read.
    Gone,
}

impl FileState {
    /// The word for people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Matches => "matches",
            Self::Changed => "changed",
            Self::Gone => "gone",
        }
    }
}
