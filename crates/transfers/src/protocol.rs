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
    /// Orders a download, which goes on over restarts until it is complete. The answer is [`Answer::Transfer`].
    Fetch(Order),
    /// Asks for the state of a download. The answer is [`Answer::Transfer`].
    Show {
        /// Number of the download.
        job: JobNumber,
    },
    /// Asks for all transfers and links. The answer is [`Answer::Transfers`].
    List {},
    /// Cancels a download.
    Cancel {
        /// Number of the download, or a CID.
        download: String,
    },
    /// Asks for a piece of a complete download. The answer is [`Answer::Piece`].
    Read {
        /// Number of the download.
        job: JobNumber,
        /// Offset of the piece in bytes. Pieces are asked for in order.
        offset: u64,
    },
    /// States that a complete download was read, so that it need not be held any more.
    Collected {
        /// Number of the download.
        job: JobNumber,
    },
    /// Asks for the rate limits. The answer is [`Answer::Limits`].
    Limits {},
    /// Sets the rate limits, which are kept over restarts. The answer is [`Answer::Limits`].
    SetLimits(Limits),
}

/// An answer of the service `transfers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The change is on the disk.
    Done {},
    /// Answers [`Request::Fetch`] and [`Request::Show`]. The order is on the disk.
    Transfer(Transfer),
    /// Answers [`Request::List`].
    Transfers {
        /// Downloads that were ordered, and fetches of the daemon's own.
        transfers: Vec<Transfer>,
        /// Rates between this node and other peers.
        links: Vec<LinkRate>,
    },
    /// Answers [`Request::Read`]; empty at the end.
    Piece {
        /// The bytes.
        data: Piece,
    },
    /// Answers [`Request::Limits`] and [`Request::SetLimits`].
    Limits {
        /// The limits that hold now.
        now: Limits,
        /// The limits that were set. Where they say `default`, the configuration holds.
        set: Limits,
    },
}

/// Maximum size of a name or a path in bytes.
pub const MAX_PATH_BYTES: usize = 1024;
/// Maximum size of a piece in bytes, so that its Base64 text fits into an answer.
pub const MAX_PIECE_BYTES: usize = 512 * 1024;

/// What to download, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// CID of the root.
    pub cid: String,
    /// Name for people.
    pub name: String,
    /// Name of the file in the directory `cid` that is meant; the whole directory when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// Size of the file in bytes, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Where to write the file once it is complete; absent when it is to be held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Destination>,
    /// Whether to pin the root.
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
    /// The path.
    pub path: PathBuf,
    /// Device and inode number of the folder.
    pub folder: (u64, u64),
    /// User ID of the client.
    pub user: u32,
    /// Whether an existing file is replaced.
    pub replace: bool,
}

/// State of a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Number of the download; absent for fetches of the daemon's own.
    pub download: Option<JobNumber>,
    /// CID of the root.
    pub cid: String,
    /// Name for people.
    pub name: String,
    /// Downloads of higher priority are fetched first.
    pub priority: i32,
    /// Stage of the transfer.
    pub state: TransferState,
    /// Why it waits or failed, as a sentence.
    pub reason: Option<String>,
    /// Where the file is written to.
    pub destination: Option<PathBuf>,
    /// Whether the daemon itself writes the file there.
    pub is_written_by_daemon: bool,
    /// Bytes that were received.
    pub bytes: u64,
    /// Size in bytes, if known.
    pub size: Option<u64>,
    /// Bytes received in a second.
    pub rate: u64,
    /// Peers that send, fastest first.
    pub sources: Vec<SourceRate>,
}

/// Stage of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// It cannot go on now.
    Waiting,
    /// Blocks are being received.
    Fetching,
    /// It is complete and held until it is collected.
    Whole,
    /// It is being written to its destination.
    Writing,
    /// It was delivered.
    Done,
    /// It failed for good.
    Failed,
}

impl TransferState {
    /// Returns the word for people and programs.
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

/// What one peer sends of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRate {
    /// The peer.
    pub peer: PeerId,
    /// Bytes received from it.
    pub bytes: u64,
    /// Bytes received from it in a second.
    pub rate: u64,
}

/// Traffic between this node and a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkRate {
    /// The peer.
    pub peer: PeerId,
    /// Whether the peer is on one of this host's networks.
    pub is_near: bool,
    /// Bytes sent since the connection was made.
    pub sent: u64,
    /// Bytes sent in a second.
    pub up: u64,
    /// Bytes received since the connection was made.
    pub received: u64,
    /// Bytes received in a second.
    pub down: u64,
}

/// Bytes of a file, in Base64 when in JSON.
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
        let piece = Answer::Piece { data: Piece(vec![0xff; MAX_PIECE_BYTES]) };
        let json = serde_json::to_string(&piece).unwrap();
        assert!(json.len() + 100 <= service::MAX_ANSWER_BYTES);
        assert_eq!(serde_json::from_str::<Answer>(&json).unwrap(), piece);
    }
}
