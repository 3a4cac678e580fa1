//! Requests about shared files on the control socket.

use serde::{Deserialize, Serialize};

/// Maximum number of CIDs in one request for names: a page of pins.
pub const MAX_NAMES: usize = service::MAX_PAGE_ROWS;
/// Maximum number of waiting files in an answer.
pub const MAX_WAITING: usize = 100;

/// Maximum number of files that one request discards.
pub const MAX_DISCARDS: usize = 128;

/// A request to the service `logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Asks for the files that are to be kept and for which there is no room. The answer is [`Answer::Waiting`].
    Waiting {},
    /// Asks how the shared folder is. The answer is [`Answer::Folder`].
    Folder {},
    /// Asks for the number of files that are left out. The answer is [`Answer::LeftOut`].
    LeftOut {},
    /// Asks for the names of files. The answer is [`Answer::Names`].
    Names {
        /// CIDs of the files, at most [`MAX_NAMES`].
        cids: Vec<String>,
    },
    /// Discards files in the whole swarm: their holders let go of them, and this node states so for as long as nobody undoes
    /// it. The answer is [`Answer::Discarded`].
    Discard {
        /// CIDs of the files, at most [`MAX_DISCARDS`].
        cids: Vec<String>,
    },
    /// Undoes that files were discarded, or that this node let go of them. The answer is [`Answer::Discarded`].
    Undiscard {
        /// CIDs of the files, at most [`MAX_DISCARDS`].
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
    /// Answers [`Request::LeftOut`].
    LeftOut(LeftOutFiles),
    /// Answers [`Request::Names`].
    Names {
        /// One name for each CID, in their order; absent when it is not known.
        names: Vec<Option<String>>,
    },
    /// Answers [`Request::Discard`] and [`Request::Undiscard`]: the decision is on the disk.
    Discarded {
        /// The files, in the order of the request.
        files: Vec<DiscardedFile>,
    },
}

/// A file that was discarded, or of which that was undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscardedFile {
    /// CID of the root.
    pub cid: String,
    /// Where it lies in the shared folder of this node; absent when it does not. It is not deleted there.
    pub path: Option<String>,
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

/// Numbers of files that are left out for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOutFiles {
    /// Files of the shared folder of which the swarm is not told, since it remembers a limited number of records of each peer.
    pub own: usize,
    /// Files of other peers that are not kept for the same reason.
    pub others: usize,
    /// Files of the shared folder that a program holds open for writing.
    pub open: usize,
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
