//! The requests and answers of the service `content` on the control socket.
//!
//! A file that is *served in place* is not copied into the block store: its blocks are read from the file itself.

use serde::{Deserialize, Serialize};
use service::{JobNumber, JobStatus};

/// A request to the service `content`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Adds a file and pins it. The answer is [`Answer::Started`].
    Add {
        /// Absolute path of the file.
        path: String,
        /// Whether the file is copied into the store instead of being served in place.
        #[serde(default)]
        copy: bool,
    },
    /// Fetches the missing blocks of content and pins it. The answer is [`Answer::Started`].
    Pin {
        /// CID of the root.
        cid: String,
    },
    /// Asks for a job's status. The answer comes when the job ends, but after 300 ms at the latest. A job is cancelled if
    /// no client asks for its status for ten seconds.
    Job {
        /// Number of the job.
        job: JobNumber,
    },
    /// Cancels a job.
    Cancel {
        /// Number of the job.
        job: JobNumber,
    },
    /// Unpins content, without deleting its blocks. The answer is [`Answer::Done`].
    Unpin {
        /// CID of the root.
        cid: String,
    },
    /// Deletes blocks that no pin or running job needs. The answer is [`Answer::Freed`].
    CollectGarbage {},
    /// Asks how full the store is. The answer is [`Answer::Storage`].
    Storage {},
    /// Asks for the next page of pins. The answer is [`Answer::Pins`].
    Pins {
        /// Number of rows that the client has.
        from: usize,
    },
    /// Asks for the next page of files that are served in place. The answer is [`Answer::Files`].
    Files {
        /// Number of rows that the client has.
        from: usize,
    },
}

/// An answer of the service `content`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The change is on the disk.
    Done {},
    /// A job was started.
    Started {
        /// Number of the job.
        job: JobNumber,
    },
    /// The status of a job; answers [`Request::Job`].
    Job(JobStatus<Pinned>),
    /// The amount of deleted data; answers [`Request::CollectGarbage`].
    Freed(Freed),
    /// The usage of the block store; answers [`Request::Storage`].
    Storage(Storage),
    /// A page of pins, empty after the last page; answers [`Request::Pins`].
    Pins {
        /// The next rows.
        pins: Vec<PinRow>,
    },
    /// A page of files, empty after the last page; answers [`Request::Files`].
    Files {
        /// The next rows.
        files: Vec<FileRow>,
    },
}

/// Content that was added or pinned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// CID of the root.
    pub cid: String,
    /// Number of bytes in all its blocks.
    pub bytes: u64,
}

/// The result of a garbage collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freed {
    /// Number of deleted blocks.
    pub blocks: usize,
    /// Number of bytes in these blocks.
    pub bytes: u64,
    /// Number of files that are no longer served in place. The files themselves are not touched.
    pub files: usize,
}

/// The usage of the block store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Number of bytes in all stored blocks.
    pub used: u64,
    /// Maximum number of bytes in all stored blocks.
    pub max: u64,
    /// Number of stored blocks.
    pub blocks: usize,
    /// Number of free bytes on the disk.
    pub free: u64,
    /// Number of bytes on the disk that are left free for other programs.
    pub min_free: u64,
    /// Number of pinned roots.
    pub pins: usize,
    /// Number of pinned roots that lack blocks.
    pub incomplete_pins: usize,
    /// Number of files that are served in place.
    pub files: usize,
    /// The reason why no further block can be stored now, as a message; absent if there is room.
    pub full: Option<String>,
}

/// A pinned root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinRow {
    /// CID of the root.
    pub cid: String,
    /// Time of pinning, in seconds since the Unix epoch.
    pub time: u64,
    /// Number of bytes in all its different blocks.
    pub bytes: u64,
    /// Whether all its blocks are stored.
    pub is_whole: bool,
}

/// A file that is served in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRow {
    /// Path of the file.
    pub path: String,
    /// Length of the file, in bytes, when it was added.
    pub bytes: u64,
    /// Number of the file's blocks.
    pub blocks: usize,
    /// Number of these blocks that the file no longer contains.
    pub missing_blocks: usize,
    /// Present state of the file.
    pub state: FileState,
}

/// State of a file that is served in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// The file is unchanged since it was added.
    Matches,
    /// The file has changed. Only blocks that still have the right hash are served.
    Changed,
    /// The file is missing or unreadable.
    Gone,
}

impl FileState {
    /// Returns the name of the state, for output to people and programs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Matches => "matches",
            Self::Changed => "changed",
            Self::Gone => "gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_the_same_after_a_round_trip() {
        for request in [
            Request::Add { path: "/a b".into(), copy: true },
            Request::Pin { cid: "bafy".into() },
            Request::Job { job: JobNumber(7) },
            Request::Storage {},
            Request::Pins { from: 5 },
        ] {
            let json = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request, "{json}");
        }
        let file =
            FileRow { path: "/a".into(), bytes: 1, blocks: 1, missing_blocks: 0, state: FileState::Gone };
        for answer in [
            Answer::Done {},
            Answer::Started { job: JobNumber(1) },
            Answer::Freed(Freed { blocks: 1, bytes: 2, files: 3 }),
            Answer::Files { files: vec![file] },
        ] {
            let json = serde_json::to_string(&answer).unwrap();
            assert_eq!(serde_json::from_str::<Answer>(&json).unwrap(), answer, "{json}");
        }
    }
}
