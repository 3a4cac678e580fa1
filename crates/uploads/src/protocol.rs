//! Requests about uploads on the control socket.

use crate::engine::Step;
use dcache::PeerId;
use serde::{Deserialize, Serialize};
use transfers::Piece;

/// Maximum number of uploads, and of carried files, in one answer.
pub const MAX_ROWS: usize = 512;
/// Maximum size of a reason in an answer, in bytes.
pub(crate) const MAX_REASON_BYTES: usize = 600;

/// A request to the service `uploads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Asks for the uploads under way and the files that wait. The answer is [`Answer::Uploads`].
    List {},
    /// Asks for the files that this node keeps until they are uploaded. The answer is [`Answer::Carried`].
    Carried {},
    /// Asks whether the destination of this node has a file. The answer is [`Answer::Stored`].
    Look {
        /// CID of the shared file.
        cid: String,
    },
    /// Asks for a piece of a file in the destination of this node. The answer is [`Answer::Piece`].
    Read {
        /// CID of the shared file.
        cid: String,
        /// Offset of the piece in bytes.
        offset: u64,
        /// Size of the object in bytes.
        size: u64,
        /// Whether the object is a tar archive, from [`StoredObject`].
        #[serde(default)]
        is_archive: bool,
    },
}

/// An answer of the service `uploads`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The answer to [`Request::List`].
    Uploads(UploadList),
    /// The answer to [`Request::Carried`].
    Carried(CarriedList),
    /// The answer to [`Request::Look`].
    Stored {
        /// The object; `None` if the destination does not have the file.
        object: Option<StoredObject>,
        /// Name of the destination.
        destination: String,
    },
    /// The answer to [`Request::Read`]. The piece is empty at the end of the file.
    Piece {
        /// Content of the piece.
        data: Piece,
    },
}

/// The uploads of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadList {
    /// Name of the destination; `None` if this node uploads nothing.
    pub destination: Option<String>,
    /// Reason why this node uploads nothing at the moment, as a sentence.
    pub reason: Option<String>,
    /// Whether the logs of this robot may be uploaded.
    pub is_allowed: bool,
    /// Path of the permission file that says so; `None` if the configuration does.
    pub permission_file: Option<String>,
    /// Reason why the permission file cannot be read.
    pub permission_error: Option<String>,
    /// The first uploads: those under way, then those that failed, then those that wait.
    pub uploads: Vec<UploadRow>,
    /// Number of all uploads.
    pub count: usize,
}

/// A file to upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UploadRow {
    /// CID of the shared file.
    pub cid: String,
    /// Name of the file.
    pub name: String,
    /// Robot that shared the file.
    pub uploader: PeerId,
    /// Size of the file in bytes.
    pub size: u64,
    /// Bytes that the destination has confirmed.
    pub bytes: u64,
    /// State of the upload.
    pub state: UploadState,
    /// The current step of an upload under way.
    pub step: Option<Step>,
    /// Reason why the upload waits or failed, as a sentence.
    pub reason: Option<String>,
}

/// State of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadState {
    /// The file is being uploaded.
    Uploading,
    /// The last attempt failed; there will be another one.
    Failed,
    /// The upload has not begun.
    Waiting,
}

impl UploadState {
    /// Returns the name of the state, for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Uploading => "uploading",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
        }
    }
}

/// The files that a node keeps until they are uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedList {
    /// Whether this node carries files although it has no destination.
    pub is_carrying: bool,
    /// Maximum size of all files in bytes.
    pub max_bytes: u64,
    /// The first files.
    pub files: Vec<CarriedRow>,
    /// Number of all files.
    pub count: usize,
    /// Size of all files in bytes.
    pub bytes: u64,
}

/// A file that a node keeps until it is uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedRow {
    /// CID of the shared file.
    pub cid: String,
    /// Name of the file.
    pub name: String,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Robot that shared the file.
    pub uploader: PeerId,
    /// Whether the whole file is on this node. Otherwise it is being fetched.
    pub is_here: bool,
}

/// A file in the destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredObject {
    /// Size in bytes.
    pub bytes: u64,
    /// SHA-256 of the content, in hexadecimal, from the metadata of the object.
    pub sha256: Option<String>,
    /// Whether the shared file is a folder. The object is then a tar archive of it.
    #[serde(default)]
    pub is_archive: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_back_as_written() {
        let cid = "bafy".to_owned();
        for request in [
            Request::List {},
            Request::Carried {},
            Request::Look { cid: cid.clone() },
            Request::Read { cid, offset: 1 << 40, size: 1 << 41, is_archive: true },
        ] {
            let json = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request, "{json}");
        }
    }

    #[test]
    fn the_longest_list_fits_into_an_answer() {
        let row = UploadRow {
            cid: "b".repeat(62),
            name: "ä".repeat(127),
            uploader: dcache::Keypair::from_seed([1; 32]).peer_id(),
            size: u64::MAX,
            bytes: u64::MAX,
            state: UploadState::Uploading,
            step: Some(Step::CleaningUp),
            reason: Some("r".repeat(MAX_REASON_BYTES)),
        };
        let list = UploadList { uploads: vec![row; MAX_ROWS], ..UploadList::default() };
        let json = serde_json::to_string(&Answer::Uploads(list)).unwrap();
        assert!(json.len() + 1000 <= service::MAX_ANSWER_BYTES, "{}", json.len());
    }
}
