//! Structs that the documents of several commands share.

use crate::ask::Pong;
use crate::text::{clean, date};
use dcache::{PeerId, Time, Validity};
use serde::{Deserialize, Serialize, Serializer};

/// Maximum number of characters of a host name that are shown.
const MAX_NAME_SHOWN: usize = 24;
/// Number of characters at the end of a peer ID that are shown. The beginning is the same for all peers.
const ID_END: usize = 6;

/// A time. In JSON it is RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(pub(crate) Time);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&date(self.0))
    }
}

/// The validity of a statement. An open end is `null`.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct TimeRange {
    /// The first second in which the statement is valid.
    pub(crate) from: Option<Timestamp>,
    /// The first second in which it is no longer valid.
    pub(crate) until: Option<Timestamp>,
}

impl From<&Validity> for TimeRange {
    fn from(validity: &Validity) -> Self {
        Self { from: validity.from().map(Timestamp), until: validity.until().map(Timestamp) }
    }
}

/// A peer, with its ID and its host name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeerRef {
    /// The peer ID.
    pub(crate) peer: PeerId,
    /// The host name that the peer states, unchanged; `null` if it is not known.
    #[serde(default)]
    pub(crate) hostname: Option<String>,
}

impl PeerRef {
    /// Makes a peer without a host name.
    pub(crate) fn unnamed(peer: PeerId) -> Self {
        Self { peer, hostname: None }
    }

    /// Returns the host name, if known, and the end of the ID. The ID is always shown, because any peer may use any
    /// name.
    pub(crate) fn show(&self) -> String {
        let short = format!("…{}", self.end());
        match &self.hostname {
            Some(name) => format!("{} ({short})", clean(name, MAX_NAME_SHOWN)),
            None => short,
        }
    }

    /// Returns the end of the ID, as it follows a name on the command line.
    pub(crate) fn end(&self) -> String {
        let mut id = self.peer.to_string();
        id.split_off(id.len().saturating_sub(ID_END))
    }
}

/// A file or other content, with its CID, name and size.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FileRef {
    /// The CID of the content.
    pub(crate) cid: String,
    /// The name of the file; `null` if it is not known.
    pub(crate) name: Option<String>,
    /// The size in bytes; `null` if it is not known.
    pub(crate) bytes: Option<u64>,
}

/// The daemon that answered. A field is `null` if the daemon does not report it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Daemon {
    /// The peer ID and host name of the daemon.
    #[serde(flatten)]
    pub(crate) peer: PeerRef,
    /// The version of dt-swarm.
    pub(crate) version: Option<String>,
    /// Seconds since the daemon started.
    pub(crate) uptime_seconds: Option<u64>,
    /// Seconds by which its clock is ahead of this computer's; negative when it is behind.
    pub(crate) clock_ahead_seconds: Option<i64>,
    /// The number of records that the daemon holds.
    pub(crate) records: Option<u64>,
}

impl Daemon {
    /// Describes the daemon that sent this pong and has this host name.
    pub(crate) fn new(pong: &Pong, hostname: Option<String>) -> Self {
        let status = pong.status.as_ref();
        Self {
            peer: PeerRef { peer: pong.peer, hostname },
            version: status.map(|status| status.version.clone()),
            uptime_seconds: status.map(|status| status.uptime),
            clock_ahead_seconds: pong.clock_ahead(),
            records: status.map(|status| status.records),
        }
    }
}
