//! Requests about shared files on the control socket.

use serde::{Deserialize, Serialize};

/// Maximum number of CIDs in one request for names: one page of pins.
pub const MAX_NAMES: usize = service::MAX_PAGE_ROWS;
/// Maximum number of waiting files in an answer.
pub const MAX_WAITING: usize = 100;

/// Maximum number of files that one request discards.
pub const MAX_DISCARDS: usize = 128;

/// A request to the service `logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Asks for the files that this node should keep but has no disk space for. The answer is [`Answer::Waiting`].
    Waiting {},
    /// Asks for the state of the shared folder. The answer is [`Answer::Folder`].
    Folder {},
    /// Asks for the numbers of files that are left out for now. The answer is [`Answer::LeftOut`].
    LeftOut {},
    /// Asks for the names of shared files. The answer is [`Answer::Names`].
    Names {
        /// CIDs of the files, at most [`MAX_NAMES`].
        cids: Vec<String>,
    },
    /// Discards files in the whole swarm: their holders unpin them. This node renews its statement until the request is
    /// undone. The answer is [`Answer::Discarded`].
    Discard {
        /// CIDs of the files, at most [`MAX_DISCARDS`].
        cids: Vec<String>,
    },
    /// Undoes that files were discarded, or that this node let go of files. The answer is [`Answer::Discarded`].
    Undiscard {
        /// CIDs of the files, at most [`MAX_DISCARDS`].
        cids: Vec<String>,
    },
}

/// An answer of the service `logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The answer to [`Request::Waiting`].
    Waiting {
        /// The first [`MAX_WAITING`] files.
        files: Vec<WaitingFile>,
        /// Number of all waiting files.
        count: usize,
    },
    /// The answer to [`Request::Folder`].
    Folder(FolderRow),
    /// The answer to [`Request::LeftOut`].
    LeftOut(LeftOutFiles),
    /// The answer to [`Request::Names`].
    Names {
        /// One name for each CID, in the order of the request; absent when the name is not known.
        names: Vec<Option<String>>,
    },
    /// The answer to [`Request::Discard`] and [`Request::Undiscard`], once the decision is stored on the disk.
    Discarded {
        /// The affected files, in the order of the request.
        files: Vec<DiscardedFile>,
    },
}

/// A file that was discarded, or whose discarding was undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscardedFile {
    /// CID of the file's IPFS directory.
    pub cid: String,
    /// Path of the file in the shared folder of this node; absent when it is not there. The request does not delete it.
    pub path: Option<String>,
}

/// A file that waits for disk space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WaitingFile {
    /// CID of the file's IPFS directory.
    pub cid: String,
    /// Name of the file, if known.
    pub name: Option<String>,
    /// Estimate of the disk space that the file needs, in bytes.
    pub bytes: u64,
    /// Reason why the file waits, as a sentence for people.
    pub reason: String,
}

/// Numbers of files that are left out for now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOutFiles {
    /// Files of the shared folder that this node does not announce, because its record quota is used up.
    pub own: usize,
    /// Files of other peers that this node does not keep, for the same reason.
    pub others: usize,
    /// Files of the shared folder that a program holds open for writing.
    pub open: usize,
}

/// The shared folder of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FolderRow {
    /// Path of the folder.
    pub path: String,
    /// Reason why nothing in the folder is shared, as a sentence; absent when it is shared.
    pub reason: Option<String>,
    /// Files and folders in it that are not shared, one row for each reason.
    pub left_out: Vec<LeftOutRow>,
}

/// Files and folders that are not shared for one reason. Hidden ones and files that are being recorded are not counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOutRow {
    /// The reason, as a code for programs.
    pub code: String,
    /// The reason, as a sentence for people.
    pub reason: String,
    /// Number of these files and folders.
    pub total: usize,
    /// Paths of the first few, relative to the shared folder.
    pub examples: Vec<String>,
}
