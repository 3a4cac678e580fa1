//! What is to be fetched, and how far it is.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dcache::PeerId;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The most bytes of a name, and of a path.
pub const MAX_PATH_BYTES: usize = 1024;
/// The most bytes of content in one answer.
pub const MAX_PIECE_BYTES: usize = 512 * 1024;

/// Something to be fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Its CID.
    pub cid: String,
    /// What to call it.
    pub name: String,
    /// The file in the directory `cid` that is meant; all of it when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// How large the file is, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Where it is to be written, once it is whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Destination>,
    /// Whether it is to be pinned.
    #[serde(default)]
    pub pin: bool,
    /// What has a higher one is fetched first.
    #[serde(default)]
    pub priority: i32,
}

/// A place for a file, as whoever wants it there sees it: the daemon may see other folders at the same path, or be somebody
/// else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// Where.
    pub path: PathBuf,
    /// The device on which its folder is, and that folder's number there.
    pub folder: (u64, u64),
    /// The user who wants it there.
    pub user: u32,
    /// Whether what is there already is replaced.
    pub replace: bool,
}

/// How far something is that was or is being fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// The number of the download; none for what the daemon fetches by itself.
    pub download: Option<u64>,
    /// What is fetched.
    pub cid: String,
    /// What it is called.
    pub name: String,
    /// What has a higher one is fetched first.
    pub priority: i32,
    /// How far it is.
    pub state: TransferState,
    /// What keeps it from going on, or why it failed.
    pub reason: Option<String>,
    /// Where it goes.
    pub destination: Option<PathBuf>,
    /// Whether the daemon writes it there.
    pub is_written_by_daemon: bool,
    /// Bytes that are here.
    pub bytes: u64,
    /// Bytes of the whole, if known.
    pub size: Option<u64>,
    /// Bytes that come in a second.
    pub rate: u64,
    /// From whom, those first who send most.
    pub sources: Vec<SourceRate>,
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferState {
    /// Something keeps it from going on.
    Waiting,
    /// It comes.
    Fetching,
    /// All of it is here, and held until it is collected.
    Whole,
    /// It is being written to its destination.
    Writing,
    /// It is where it was to go.
    Done,
    /// It cannot be had.
    Failed,
}

impl TransferState {
    /// The word for people and programs.
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

/// What comes from somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceRate {
    /// Who.
    pub peer: PeerId,
    /// Bytes of it so far.
    pub bytes: u64,
    /// Bytes in a second.
    pub rate: u64,
}

/// What passes between the daemon and another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkRate {
    /// Who.
    pub peer: PeerId,
    /// Whether it is on one of this host's own networks.
    pub is_near: bool,
    /// Bytes to it since it is connected.
    pub sent: u64,
    /// Bytes to it in a second.
    pub up: u64,
    /// Bytes from it since it is connected.
    pub received: u64,
    /// Bytes from it in a second.
    pub down: u64,
}

/// A part of a file. In JSON it is Base64.
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
