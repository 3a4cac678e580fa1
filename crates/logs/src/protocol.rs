//! Requests about shared files on the control socket.

use crate::info::Whole;
use crate::receipts::Receipt;
use dcache::{PeerId, Time};
use serde::{Deserialize, Serialize};

/// Maximum number of CIDs in one request for names: one page of pins.
pub const MAX_NAMES: usize = service::MAX_PAGE_ROWS;
/// Maximum number of waiting files in an answer.
pub const MAX_WAITING: usize = 100;

/// Maximum number of withdrawn files in an answer.
pub(crate) const MAX_UNSHARED_ROWS: usize = 100;
/// Maximum number of peers in each list of such a file.
pub(crate) const MAX_PEERS: usize = 64;

/// Maximum number of files that one request discards.
pub const MAX_DISCARDS: usize = 128;
/// Maximum number of files that one request frees, and of files in the answer to [`Request::Freeable`].
pub const MAX_FREE_ROWS: usize = 128;

/// A request to the service `logs`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Asks for the files that this node should keep but has no disk space for. The answer is [`Answer::Waiting`].
    Waiting {},
    /// Asks for the state of the shared folders. The answer is [`Answer::Folders`].
    Folders {},
    /// States that the files of a missing disk are gone: they count as deleted. The answer is
    /// [`Answer::DiskForgotten`].
    ForgetDisk {
        /// ID of the disk, from [`MissingRow`].
        disk: String,
    },
    /// Withdraws a file of this node from the swarm: its holders unpin it. It stays withdrawn until
    /// [`Request::Share`]. The answer is [`Answer::Unshared`].
    Unshare {
        /// The file: its CID, the end of its path, or its name.
        file: String,
    },
    /// Shares a withdrawn file again. The answer is [`Answer::SharedAgain`].
    Share {
        /// The file: its CID, the end of its path, or its name.
        file: String,
    },
    /// Asks for the withdrawn files. The answer is [`Answer::Unshared`].
    Unshared {
        /// CID of the only file that is asked for.
        cid: Option<String>,
    },
    /// Asks for the numbers of files that are left out for now. The answer is [`Answer::LeftOut`].
    LeftOut {},
    /// Asks what a recording contains. The answer is [`Answer::Recording`].
    Recording {
        /// CID of the file.
        cid: String,
    },
    /// Asks for the copies that this node let go of lately. The answer is [`Answer::Dropped`].
    Dropped {},
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
        /// The reason, for the users of other robots. Without it, a former reason of this node stays.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Asks for the files of the shared folders that are safe elsewhere, the oldest first. The answer is
    /// [`Answer::Freeable`].
    Freeable {
        /// Minimum time, in seconds, since the last change of a file.
        older_than: u64,
        /// Number of bytes that should be free on each disk. Files that need not go for this are left out.
        #[serde(default)]
        until_free: Option<u64>,
        /// Whether the copies of others count in the open swarm, where any host can state that it keeps a file.
        #[serde(default)]
        believes_strangers: bool,
    },
    /// Deletes files of the shared folders, if they are safe elsewhere. The answer is [`Answer::Freed`].
    Free {
        /// CIDs of the files, at most [`MAX_FREE_ROWS`].
        cids: Vec<String>,
        /// As in [`Request::Freeable`].
        #[serde(default)]
        believes_strangers: bool,
    },
    /// Asks for the files in the catalogues of robots that this node has read. The answer is [`Answer::Catalog`].
    Catalog {
        /// CID of the last file of the page before; absent for the first page.
        #[serde(default)]
        after: Option<String>,
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
    /// The answer to [`Request::Folders`].
    Folders {
        /// The shared folders, in the order of the configuration.
        folders: Vec<FolderRow>,
        /// Disks with shared files that no shared folder shows now.
        missing: Vec<MissingRow>,
    },
    /// The answer to [`Request::ForgetDisk`].
    DiskForgotten {
        /// Number of files on that disk.
        files: usize,
    },
    /// The answer to [`Request::Unshare`] and [`Request::Unshared`].
    Unshared {
        /// The withdrawn files, the last one first; at most 100.
        files: Vec<UnsharedRow>,
        /// Number of all withdrawn files.
        count: usize,
    },
    /// The answer to [`Request::Share`].
    SharedAgain {
        /// The file, without peers.
        file: UnsharedRow,
    },
    /// The answer to [`Request::LeftOut`].
    LeftOut(LeftOutFiles),
    /// The answer to [`Request::Recording`].
    Recording {
        /// The description in the info file beside the file. `None` when this node does not have the file, or the info file
        /// tells nothing that this version understands.
        whole: Option<Box<Whole>>,
    },
    /// The answer to [`Request::Dropped`].
    Dropped {
        /// The copies, the newest first.
        files: Vec<DroppedFile>,
    },
    /// The answer to [`Request::Names`].
    Names {
        /// One name for each CID, in the order of the request; absent when the name is not known.
        names: Vec<Option<String>>,
    },
    /// The answer to [`Request::Freeable`].
    Freeable {
        /// The first [`MAX_FREE_ROWS`] files.
        files: Vec<FreeRow>,
        /// Number of all these files.
        count: usize,
        /// Sum of their sizes in bytes.
        bytes: u64,
        /// Whether the copies of others do not count, because this is the open swarm and the request does not believe them.
        needs_trust: bool,
    },
    /// The answer to [`Request::Free`].
    Freed {
        /// The files, in the order of the request.
        files: Vec<FreedRow>,
    },
    /// The answer to [`Request::Catalog`].
    Catalog(CatalogPage),
    /// The answer to [`Request::Discard`] and [`Request::Undiscard`], once the decision is stored on the disk.
    Discarded {
        /// The affected files, in the order of the request.
        files: Vec<DiscardedFile>,
    },
}

/// A file of a shared folder that is safe elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreeRow {
    /// CID of the file's IPFS directory.
    pub cid: String,
    /// Path of the file.
    pub path: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Time of the last change of the file.
    pub changed: Time,
    /// Number of other robots that are present and keep the file.
    pub holders: usize,
    /// Whether the file is in a storage.
    pub is_uploaded: bool,
}

/// A file that was to be deleted, since it is safe elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreedRow {
    /// CID of the file's IPFS directory.
    pub cid: String,
    /// Size of the deleted file in bytes; 0 when it was not deleted.
    pub bytes: u64,
    /// Reason why the file was not deleted, as a sentence.
    pub reason: Option<String>,
}

/// A page of the catalogues of robots.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogPage {
    /// The robots whose catalogues were read.
    pub robots: Vec<CatalogRobot>,
    /// The files, in the order of the binary form of their CIDs. There are no more files after an empty page.
    pub files: Vec<CatalogFile>,
}

/// A robot whose catalogue was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogRobot {
    /// Peer ID of the robot.
    pub robot: PeerId,
    /// CID of its catalogue.
    pub root: String,
    /// Sequence number of the record that names it.
    pub sequence: u64,
}

/// A file in the catalogues of robots.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogFile {
    /// CID of the file's IPFS directory.
    pub cid: String,
    /// The statements of each robot about the file.
    pub lines: Vec<CatalogLine>,
    /// The different descriptions of the file, as in `share/info/CID`.
    pub infos: Vec<String>,
}

/// The line about a file in the catalogue of a robot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogLine {
    /// Place of the robot in [`CatalogPage::robots`].
    pub robot: usize,
    /// Whether the file is in a shared folder of the robot.
    pub shares: bool,
    /// Whether the robot keeps the file for another robot.
    pub keeps: bool,
    /// Place of the description in [`CatalogFile::infos`]; absent when the robot states none.
    pub info: Option<usize>,
    /// Statement of the robot that the file is in a storage; absent when the robot did not upload it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// A copy that a node let go of, because other nodes keep the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DroppedFile {
    /// CID of the file's IPFS directory.
    pub cid: String,
    /// Name of the file.
    pub name: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Time by the clock of the node.
    pub time: Time,
    /// Whether the disk had too little free space. Otherwise there were more copies than needed.
    pub was_for_space: bool,
    /// Whether it was a file of the node itself, which was deleted from its shared folder.
    #[serde(default)]
    pub was_own: bool,
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

/// A file that this node withdrew from the swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnsharedRow {
    /// CID of the file's IPFS directory.
    pub cid: String,
    /// Name of the file.
    pub name: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Path of the file in a shared folder; absent when it is not there now.
    pub path: Option<String>,
    /// Time of the withdrawal.
    pub time: Time,
    /// Peers that kept the file then and do not state this any more; at most 64.
    pub confirmed: Vec<PeerId>,
    /// Peers that state now that they keep the file; at most 64.
    pub waiting: Vec<PeerId>,
}

/// A disk, or any other folder, with shared files that no shared folder shows now. Its files are neither withdrawn nor
/// fetched from others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MissingRow {
    /// ID of the disk, for [`Request::ForgetDisk`].
    pub disk: String,
    /// Path of the shared folder that showed it last; absent for files of an earlier version of the daemon.
    pub folder: Option<String>,
    /// Time at which it was there; absent when the folder is absent.
    pub seen: Option<Time>,
    /// Number of shared files on it.
    pub files: usize,
    /// Sum of their sizes in bytes.
    pub bytes: u64,
    /// Paths of the first few, relative to the folder.
    pub examples: Vec<String>,
}

/// A shared folder of a node.
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
