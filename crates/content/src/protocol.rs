//! Requests about content on the control socket: what is stored, pinned, and served in place.

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
    /// Fetches what is missing of some content and pins it. The answer is [`Answer::Started`].
    Pin {
        /// CID of the root.
        cid: String,
    },
    /// Asks for a job's status. The answer comes when the job ends, at the latest after a moment. A job is given up when
    /// nobody asks for ten seconds.
    Job {
        /// Number of the job.
        job: JobNumber,
    },
    /// Cancels a job.
    Cancel {
        /// Number of the job.
        job: JobNumber,
    },
    /// Unpins content.
    Unpin {
        /// CID of the root.
        cid: String,
    },
    /// Deletes blocks that nothing needs. The answer is [`Answer::Freed`].
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
    /// Answers [`Request::Job`].
    Job(JobStatus<Pinned>),
    /// Answers [`Request::CollectGarbage`].
    Freed(Freed),
    /// Answers [`Request::Storage`].
    Storage(Storage),
    /// Answers [`Request::Pins`]; empty after the last page.
    Pins {
        /// The next rows.
        pins: Vec<PinRow>,
    },
    /// Answers [`Request::Files`]; empty after the last page.
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
    /// Bytes of all its blocks.
    pub bytes: u64,
}

/// What a garbage collection deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freed {
    /// Number of blocks.
    pub blocks: usize,
    /// Bytes of these blocks.
    pub bytes: u64,
    /// Number of files that are no longer served in place. The files themselves are not touched.
    pub files: usize,
}

/// How full the store is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// Bytes of all stored blocks.
    pub used: u64,
    /// Maximum number of bytes of all stored blocks.
    pub max: u64,
    /// Number of stored blocks.
    pub blocks: usize,
    /// Free bytes on the disk.
    pub free: u64,
    /// Bytes on the disk that are left free for other programs.
    pub min_free: u64,
    /// Number of pinned roots.
    pub pins: usize,
    /// Number of pinned roots that lack blocks.
    pub incomplete_pins: usize,
    /// Number of files that are served in place.
    pub files: usize,
    /// Why nothing can be stored now, as a sentence; absent when there is room.
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
    /// Bytes of all its different blocks.
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
    /// Length of the file in bytes when it was added.
    pub bytes: u64,
    /// Number of blocks of the file.
    pub blocks: usize,
    /// Number of these blocks that the file no longer holds.
    pub missing_blocks: usize,
    /// State of the file now.
    pub state: FileState,
}

/// State of a file that is served in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileState {
    /// The file is as it was when it was added.
    Matches,
    /// The file was changed. Blocks that still have the right hash are served.
    Changed,
    /// The file is missing or unreadable.
    Gone,
}

impl FileState {
    /// Returns the word for people and programs.
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
    fn requests_and_answers_read_back_as_written() {
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
