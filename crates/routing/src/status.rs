//! The status of a daemon, which it sends in answer to a ping.

use crate::Reach;
use dcache::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Maximum number of channels in a status, and of troubles.
pub const MAX_CHANNELS: usize = 16;

/// The status of a daemon. All keys are optional on the wire, so that nodes of different versions understand each
/// other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Time of day on its clock.
    pub time: Time,
    /// Seconds since the daemon started.
    pub uptime: u64,
    /// Number of records that the daemon holds.
    pub records: u64,
    /// Counts since the daemon started, by the names of their metrics. Readers accept any name, because versions and
    /// services differ.
    pub counters: BTreeMap<String, u64>,
    /// Channels of the daemon, at most [`MAX_CHANNELS`] entries. One entry is the sum of all links that are not kept
    /// open, and of the channels that do not fit.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelStatus>,
    /// Faults of the daemon, at most [`MAX_CHANNELS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<Trouble>,
    /// Comparison of its records with those of its peers.
    #[serde(rename = "standing", skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
    /// Absolute path of the daemon's control socket. Sent only to programs on the same computer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_socket: Option<String>,
}

/// The traffic of a channel since it came up, and its limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelStatus {
    /// Name of the channel, for display.
    pub name: String,
    /// Number of lines sent.
    pub sent_lines: u64,
    /// Number of bytes sent in lines.
    pub sent_bytes: u64,
    /// Number of lines received.
    pub received_lines: u64,
    /// Number of bytes received in lines.
    pub received_bytes: u64,
    /// Number of records and beacons not sent because other nodes were heard sending the same.
    pub suppressed: u64,
    /// Number of records received or sent because a comparison showed that they were missing.
    pub repaired: u64,
    /// Number of records received and refused.
    pub refused: u64,
    /// Number of records that wait to be sent.
    pub waiting: u64,
    /// Which peers receive a line; `None` where several links are shown together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
    /// Cost of a byte, compared with other channels.
    pub cost: u64,
    /// Maximum number of bytes of records in one line.
    pub mtu: u64,
    /// Long-term rate limit, in bytes of lines per minute.
    pub bytes_per_minute: u64,
    /// Long-term rate limit, in lines or their pieces per minute.
    pub lines_per_minute: u64,
    /// Remaining send budget in bytes.
    pub bytes_left: u64,
    /// Number of peers heard on the channel lately.
    pub peers: u64,
}

/// A fault that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trouble {
    /// Name of the channel, or of another part of the node, such as `identity`. The channel need not be up: the fault
    /// may be the reason why it is not.
    pub channel: String,
    /// Code of the fault, such as `udp.port-taken`. Empty if the daemon is too old to send it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// Description of the fault and of the remedy, for people.
    #[serde(rename = "words")]
    pub message: String,
    /// Duration of the fault in seconds.
    pub seconds: u64,
}

/// Comparison of a daemon's records with those that its peers showed lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncStatus {
    /// Number of peers that showed the same records, of those heard lately.
    pub agreeing: u64,
    /// Number of peers that showed other records, of those heard lately.
    pub differing: u64,
    /// Number of records that the peer with the most records holds in excess of this daemon; 0 if no peer holds more.
    pub behind: u64,
    /// Seconds since a peer last showed the same records; `None` if that has not happened yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_older_and_newer_programs_are_read() {
        let read = |text: &str| serde_json::from_str::<Trouble>(text).unwrap();
        let known = Trouble {
            channel: "udp".to_owned(),
            code: "udp.no-interface".to_owned(),
            message: "no network".to_owned(),
            seconds: 7,
        };
        let text = r#"{"channel":"udp","code":"udp.no-interface","words":"no network","seconds":7}"#;
        assert_eq!(serde_json::to_string(&known).unwrap(), text);
        assert_eq!(read(text), known);
        let older = Trouble { code: String::new(), ..known };
        let text = r#"{"channel":"udp","words":"no network","seconds":7}"#;
        assert_eq!(serde_json::to_string(&older).unwrap(), text);
        assert_eq!(read(text), older);
        assert_eq!(read(&text.replace('{', r#"{"later":1,"#)), older);
    }

    #[test]
    fn names_on_the_wire_stay_and_any_metric_is_read() {
        let text = r#"{"counters":{"a name of another version":3},"standing":{"agreeing":2}}"#;
        let status: Status = serde_json::from_str(text).unwrap();
        assert_eq!(status.counters["a name of another version"], 3);
        assert_eq!(status.sync, Some(SyncStatus { agreeing: 2, ..SyncStatus::default() }));
        assert!(serde_json::to_string(&status).unwrap().contains(r#""standing":{"agreeing":2"#));
    }
}
