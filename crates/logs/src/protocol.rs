//! Requests about shared files on the control socket.

use serde::{Deserialize, Serialize};

/// Maximum number of CIDs in one request for names: a page of pins.
pub const MAX_NAMES: usize = service::MAX_PAGE_ROWS;
/// Maximum number of waiting files in an answer.
pub const MAX_WAITING: usize = 100;

/// A request to the service `logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Asks for the files that are to be kept and for which there is no room. The answer is [`Answer::Waiting`].
    Waiting {},
    /// Asks how the shared folder is. The answer is [`Answer::Folder`].
    Folder {},
    /// Asks for the names of files. The answer is [`Answer::Names`].
    Names {
        /// CIDs of the files, at most [`MAX_NAMES`].
        cids: Vec<String>,
    },
}

/// An answer of the service `logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// Answers [`Request::Waiting`].
    Waiting {
        /// The first [`MAX_WAITING`] files.
        files: Vec<WaitingFile>,
        /// Number of all files that wait.
        count: usize,
    },
    /// Answers [`Request::Folder`].
    Folder(FolderRow),
    /// Answers [`Request::Names`].
    Names {
        /// One name for each CID, in their order; absent when it is not known.
        names: Vec<Option<String>>,
    },
}

/// A file that waits for room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitingFile {
    /// CID of the root.
    pub cid: String,
    /// Name of the file, if known.
    pub name: Option<String>,
    /// Estimate of the bytes that it needs.
    pub bytes: u64,
    /// What is full, as a sentence.
    pub reason: String,
}

/// The shared folder of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderRow {
    /// Its path.
    pub path: String,
    /// Why nothing of it is shared, as a sentence; absent when it is.
    pub reason: Option<String>,
    /// What is not shared of it, one row for each reason.
    pub left_out: Vec<LeftOutRow>,
}

/// Files and folders that are not shared, for one reason. Hidden ones and files that are being recorded are not among them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOutRow {
    /// The reason, as a word for programs.
    pub code: String,
    /// The reason, as a sentence.
    pub reason: String,
    /// Number of these files and folders.
    pub total: usize,
    /// Paths of the first few, relative to the shared folder.
    pub examples: Vec<String>,
}
