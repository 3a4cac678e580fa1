//! A channel of the daemon: its traffic and its capacity.

use crate::text::clean;
use routing::{ChannelStatus, Reach};
use serde::Serialize;

/// The traffic of a channel since it came up, and its capacity.
#[derive(Debug, Serialize)]
pub(crate) struct Channel {
    /// The name for people.
    pub(crate) name: String,
    /// The peers that receive a line sent on it: `peer`, `lan` or `world`. `null` if several links are counted together.
    pub(crate) reach: Option<Reach>,
    /// The number of peers that were heard on it lately.
    pub(crate) peers: u64,
    /// Cost of a byte, relative to other channels.
    pub(crate) cost: u64,
    /// Number of lines sent.
    pub(crate) sent_lines: u64,
    /// Bytes of the lines sent.
    pub(crate) sent_bytes: u64,
    /// Number of lines received.
    pub(crate) received_lines: u64,
    /// Bytes of the lines received.
    pub(crate) received_bytes: u64,
    /// Records and beacons that were not sent, because another peer was heard sending the same.
    pub(crate) suppressed: u64,
    /// Records that were received or sent because a comparison of sets showed that they were missing.
    pub(crate) repaired: u64,
    /// Records that were received and refused.
    pub(crate) refused: u64,
    /// Records that wait for budget of the channel.
    pub(crate) waiting: u64,
    /// Maximum number of bytes of records in one line.
    pub(crate) mtu_bytes: u64,
    /// Send budget in bytes per minute.
    pub(crate) bytes_per_minute: u64,
    /// Send budget in lines, or fragments of lines, per minute.
    pub(crate) lines_per_minute: u64,
    /// Remaining send budget in bytes.
    pub(crate) left_bytes: u64,
}

impl From<ChannelStatus> for Channel {
    fn from(status: ChannelStatus) -> Self {
        Self {
            name: status.name,
            reach: status.reach,
            peers: status.peers,
            cost: status.cost,
            sent_lines: status.sent_lines,
            sent_bytes: status.sent_bytes,
            received_lines: status.received_lines,
            received_bytes: status.received_bytes,
            suppressed: status.suppressed,
            repaired: status.repaired,
            refused: status.refused,
            waiting: status.waiting,
            mtu_bytes: status.mtu,
            bytes_per_minute: status.bytes_per_minute,
            lines_per_minute: status.lines_per_minute,
            left_bytes: status.bytes_left,
        }
    }
}

impl Channel {
    /// Returns the name for a table, with dangerous characters escaped.
    pub(crate) fn show_name(&self) -> String {
        clean(&self.name, 64)
    }
}
