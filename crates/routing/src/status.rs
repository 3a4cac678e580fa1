//! What a daemon says of itself to whoever pings it.

use dcache::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most channels that a status shows.
pub const MAX_CHANNELS: usize = 16;

/// How a daemon is doing. Everything is optional on the wire, so that versions can be mixed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// What its clock shows.
    pub time: Time,
    /// Seconds since it started.
    pub uptime: u64,
    /// How many records it holds.
    pub records: u64,
    /// What was counted since it started, such as refused records by reason.
    pub counters: BTreeMap<String, u64>,
    /// Its channels, at most [`MAX_CHANNELS`]; links with single peers are one together.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelStatus>,
    /// How it stands beside its peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
}

/// What passed a channel since it came up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelStatus {
    /// What people know it by.
    pub name: String,
    /// Lines that went out.
    pub sent_lines: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Lines that came in.
    pub received_lines: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Records and beacons not said, because others were heard saying the same.
    pub suppressed: u64,
    /// Records that came, or were given, because a comparison showed them to be missing.
    pub repaired: u64,
    /// Records that came and were refused.
    pub refused: u64,
    /// Records that wait for their turn.
    pub waiting: u64,
}

/// How far a daemon believes to be behind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Standing {
    /// Peers that showed the same records when last heard, of those heard lately.
    pub agreeing: u64,
    /// Peers that showed something else.
    pub differing: u64,
    /// How many records more the one of these has that has most; 0 when none has more.
    pub behind: u64,
    /// Seconds since some peer showed the same records; none when that has not happened yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreed: Option<u64>,
}
