//! A channel of the daemon: what passed it and what it bears.

use crate::text::clean;
use routing::{ChannelStatus, Reach};
use serde::Serialize;

/// What passed a channel since it came up, and what it bears.
#[derive(Debug, Serialize)]
pub(crate) struct Channel {
    /// What people know it by.
    pub(crate) name: String,
    /// Who hears what is said on it: `peer`, `lan` or `world`; `null` where links are counted together.
    pub(crate) reach: Option<Reach>,
    /// The number of peers that were heard there lately.
    pub(crate) peers: u64,
    /// What a byte costs there, compared with other channels.
    pub(crate) cost: u64,
    /// Lines that went out.
    pub(crate) sent_lines: u64,
    /// Their bytes.
    pub(crate) sent_bytes: u64,
    /// Lines that came in.
    pub(crate) received_lines: u64,
    /// Their bytes.
    pub(crate) received_bytes: u64,
    /// Records and beacons that were not sent, because others were heard sending the same.
    pub(crate) suppressed: u64,
    /// Records that came, or were given, because a comparison showed them to be missing.
    pub(crate) repaired: u64,
    /// Records that came and were refused.
    pub(crate) refused: u64,
    /// Records that wait for their turn within the channel's budget.
    pub(crate) waiting: u64,
    /// Bytes of records that fit into one line.
    pub(crate) mtu_bytes: u64,
    /// Bytes of lines that it bears in a minute.
    pub(crate) bytes_per_minute: u64,
    /// Lines, or their pieces, that it bears in a minute.
    pub(crate) lines_per_minute: u64,
    /// Bytes that could be sent at once now.
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
    /// Returns the name, for a table.
    pub(crate) fn show_name(&self) -> String {
        clean(&self.name, 64)
    }
}
