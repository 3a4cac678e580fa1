//! Requests about transfers on the control socket: downloads, their progress, and rate limits.

use crate::Limits;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dcache::PeerId;
use serde::{Deserialize, Serialize};
use service::JobNumber;
use std::path::PathBuf;

/// A request to the service `transfers`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Orders a download, which continues across restarts until it is complete. The answer is [`Answer::Transfer`].
    Fetch(Order),
    /// Asks for the state of a download. The answer is [`Answer::Transfer`].
    Show {
        /// Number of the download.
        job: JobNumber,
    },
    /// Asks for all transfers and links. The answer is [`Answer::Transfers`].
    List {},
    /// Cancels a download. The answer is [`Answer::Done`].
    Cancel {
        /// Number of the download, or a CID.
        download: String,
    },
    /// Asks for a piece of the content of a complete download. The answer is [`Answer::Piece`].
    Read {
        /// Number of the download.
        job: JobNumber,
        /// Offset of the piece in bytes. Pieces are requested in order.
        offset: u64,
    },
    /// Tells the daemon that the client has read a complete download, so that its content need not be kept any more.
    /// The answer is [`Answer::Done`].
    Collected {
        /// Number of the download.
        job: JobNumber,
    },
    /// Asks for the rate limits. The answer is [`Answer::Limits`].
    Limits {},
    /// Sets the rate limits, which are kept across restarts. The answer is [`Answer::Limits`].
    SetLimits(Limits),
}

/// An answer of the service `transfers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The change is on the disk.
    Done {},
    /// The answer to [`Request::Fetch`] and [`Request::Show`]. The order is on the disk.
    Transfer(Transfer),
    /// The answer to [`Request::List`].
    Transfers {
        /// Downloads that users ordered, and fetches that the daemon started by itself.
        transfers: Vec<Transfer>,
        /// Rates between this node and other peers.
        links: Vec<LinkRate>,
    },
    /// The answer to [`Request::Read`]. The piece is empty at the end of the file.
    Piece {
        /// Content of the piece.
        data: Piece,
        /// Whether the content is a folder. Then the pieces are those of a tar archive of it.
        #[serde(default)]
        is_archive: bool,
    },
    /// The answer to [`Request::Limits`] and [`Request::SetLimits`].
    Limits {
        /// The limits that apply now.
        now: Limits,
        /// The limits that a user set. For each `default`, the value in the configuration applies.
        set: Limits,
    },
}

/// Maximum size of a name or a path in bytes.
pub const MAX_PATH_BYTES: usize = 1024;
/// Maximum size of a piece in bytes. It is chosen so that the Base64 text fits into an answer.
pub const MAX_PIECE_BYTES: usize = 512 * 1024;

/// Order of a download: its content and its destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// CID of the root.
    pub cid: String,
    /// Name of the content, to show it to users.
    pub name: String,
    /// Name of the wanted file in the directory `cid`; absent for the whole directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// Size of the file in bytes, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Path to write the file to once it is complete; absent when the daemon should keep it for the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Destination>,
    /// Whether to pin the root once it is complete.
    #[serde(default)]
    pub pin: bool,
    /// Downloads of higher priority are fetched first.
    #[serde(default)]
    pub priority: i32,
}

/// A path for a file, as the client sees it. The daemon may see another folder at the same path, or run as another user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Path of the file.
    pub path: PathBuf,
    /// Device and inode number of the folder, as the client sees it.
    pub folder: (u64, u64),
    /// User ID of the client.
    pub user: u32,
    /// Whether to replace an existing file.
    pub replace: bool,
}

/// State of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Number of the download; absent for fetches that the daemon started by itself.
    pub download: Option<JobNumber>,
    /// CID of the root.
    pub cid: String,
    /// Name of the content, to show it to users.
    pub name: String,
    /// Downloads of higher priority are fetched first.
    pub priority: i32,
    /// Stage of the transfer.
    pub state: TransferState,
    /// Reason why the transfer waits or failed, as a sentence.
    pub reason: Option<String>,
    /// Path to which the file is written.
    pub destination: Option<PathBuf>,
    /// Whether the daemon itself writes the file there.
    pub is_written_by_daemon: bool,
    /// Number of bytes that were received.
    pub bytes: u64,
    /// Size in bytes, if known.
    pub size: Option<u64>,
    /// Bytes received per second.
    pub rate: u64,
    /// Peers that send the content, fastest first.
    pub sources: Vec<SourceRate>,
}

/// Stage of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// The transfer cannot continue at the moment.
    Waiting,
    /// Blocks are being received.
    Fetching,
    /// The content is complete and kept until the client has read it.
    Whole,
    /// The content is being written to its destination.
    Writing,
    /// The content was delivered.
    Done,
    /// The transfer failed permanently.
    Failed,
}

impl TransferState {
    /// Returns the name of the state, for people and programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fetching => "fetching",
            Self::Whole => "whole",
            Self::Writing => "writing",
            Self::Done => "done",
            Self::Failed => "failed",
        }
    }
}

/// Contribution of one peer to a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRate {
    /// ID of the sending peer.
    pub peer: PeerId,
    /// Bytes received from the peer.
    pub bytes: u64,
    /// Bytes received from the peer per second.
    pub rate: u64,
}

/// Traffic between this node and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkRate {
    /// ID of the connected peer.
    pub peer: PeerId,
    /// Whether the peer is on one of this host's networks.
    pub is_near: bool,
    /// Bytes sent since the connection was established.
    pub sent: u64,
    /// Bytes sent per second.
    pub up: u64,
    /// Bytes received since the connection was established.
    pub received: u64,
    /// Bytes received per second.
    pub down: u64,
}

/// Bytes of a file, encoded as Base64 in JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Piece(pub Vec<u8>);

impl TryFrom<String> for Piece {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        STANDARD.decode(text).map(Self)
    }
}

impl From<Piece> for String {
    fn from(piece: Piece) -> Self {
        STANDARD.encode(piece.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limit;

    fn order() -> Order {
        let path = "/data/a\n.bag".into();
        let destination = Destination { path, folder: (1, 2), user: 1000, replace: false };
        Order {
            cid: "bafy".into(),
            name: "a.bag".into(),
            payload: Some("a.bag".into()),
            size: Some(9),
            destination: Some(destination),
            pin: false,
            priority: -1,
        }
    }

    #[test]
    fn requests_read_back_as_written() {
        let job = JobNumber(7);
        for request in [
            Request::Fetch(order()),
            Request::Show { job },
            Request::List {},
            Request::Cancel { download: "7".into() },
            Request::Read { job, offset: 1 << 40 },
            Request::Collected { job },
            Request::Limits {},
            Request::SetLimits(Limits { wan_up: Limit::Rate(500_000), ..Limits::default() }),
        ] {
            let json = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request, "{json}");
        }
    }

    #[test]
    fn the_largest_piece_fits_into_an_answer() {
        let piece = Answer::Piece { data: Piece(vec![0xff; MAX_PIECE_BYTES]), is_archive: true };
        let json = serde_json::to_string(&piece).unwrap();
        assert!(json.len() + 100 <= service::MAX_ANSWER_BYTES);
        assert_eq!(serde_json::from_str::<Answer>(&json).unwrap(), piece);
    }
}
