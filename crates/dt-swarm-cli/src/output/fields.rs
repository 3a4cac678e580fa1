//! The parts that the documents of several commands share.

use crate::ask::Pong;
use crate::text::{clean, date};
use dcache::{PeerId, Time, Validity};
use serde::{Deserialize, Serialize, Serializer};

/// The most characters of a name that are shown.
const MAX_NAME_SHOWN: usize = 24;
/// The characters of a peer ID that are shown. Its beginning is the same for all.
const ID_END: usize = 6;

/// A time. In JSON it is RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp(pub(crate) Time);

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&date(self.0))
    }
}

/// For when a statement is to hold. An open end is `null`.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct TimeRange {
    /// The first second of it.
    pub(crate) from: Option<Timestamp>,
    /// The first second after it.
    pub(crate) until: Option<Timestamp>,
}

impl From<&Validity> for TimeRange {
    fn from(validity: &Validity) -> Self {
        Self { from: validity.from().map(Timestamp), until: validity.until().map(Timestamp) }
    }
}

/// A peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PeerRef {
    /// Its ID.
    pub(crate) peer: PeerId,
    /// The name that it gives itself, as it wrote it; `null` where it is not known.
    #[serde(default)]
    pub(crate) hostname: Option<String>,
}

impl PeerRef {
    /// Makes a peer whose name was not asked for.
    pub(crate) fn unnamed(peer: PeerId) -> Self {
        Self { peer, hostname: None }
    }

    /// Returns its name, if known, and the end of its ID, since anybody may use any name.
    pub(crate) fn show(&self) -> String {
        let id = self.peer.to_string();
        let short = format!("…{}", &id[id.len().saturating_sub(ID_END)..]);
        match &self.hostname {
            Some(name) => format!("{} ({short})", clean(name, MAX_NAME_SHOWN)),
            None => short,
        }
    }
}

/// Content, and what is known of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct FileRef {
    /// Its CID.
    pub(crate) cid: String,
    /// The name of the file; `null` where it is not known.
    pub(crate) name: Option<String>,
    /// Its size in bytes; `null` where it is not known.
    pub(crate) bytes: Option<u64>,
}

/// The daemon that answered. A field is `null` where the daemon does not tell it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Daemon {
    /// Which peer it is.
    #[serde(flatten)]
    pub(crate) peer: PeerRef,
    /// Its version.
    pub(crate) version: Option<String>,
    /// Seconds since it started.
    pub(crate) uptime_seconds: Option<u64>,
    /// Seconds by which its clock is ahead of this computer's; negative when it is behind.
    pub(crate) clock_ahead_seconds: Option<i64>,
    /// The number of records that it holds.
    pub(crate) records: Option<u64>,
}

impl Daemon {
    /// Describes the daemon that sent this pong and calls itself so.
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
