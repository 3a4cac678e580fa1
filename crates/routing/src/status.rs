//! The status of a daemon, with which it answers a ping.

use crate::Reach;
use dcache::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most channels that a status shows, and the most troubles.
pub const MAX_CHANNELS: usize = 16;

/// The status of a daemon. Everything is optional on the wire, so that versions can be mixed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The program's version.
    pub version: String,
    /// Its time of day.
    pub time: Time,
    /// Seconds since it started.
    pub uptime: u64,
    /// Number of records that it holds.
    pub records: u64,
    /// Counts since it started, by the names of their metrics. Readers accept any name: versions and services differ.
    pub counters: BTreeMap<String, u64>,
    /// Its channels, at most [`MAX_CHANNELS`]. One entry sums up links for questions and comparisons, and channels beyond
    /// that number.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelStatus>,
    /// What should work and does not, at most [`MAX_CHANNELS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<Trouble>,
    /// How its records compare with those of its peers.
    #[serde(rename = "standing", skip_serializing_if = "Option::is_none")]
    pub sync: Option<SyncStatus>,
    /// Absolute path of its control socket. Only programs on the same computer are told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_socket: Option<String>,
}

/// The traffic of a channel since it came up, and its limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChannelStatus {
    /// Its name, for people.
    pub name: String,
    /// Number of lines sent.
    pub sent_lines: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Number of lines received.
    pub received_lines: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Records and beacons not sent, because other nodes were heard sending the same.
    pub suppressed: u64,
    /// Records received or given because a comparison showed them to be missing.
    pub repaired: u64,
    /// Records received and refused.
    pub refused: u64,
    /// Records that wait to be sent.
    pub waiting: u64,
    /// Who hears what is sent on it; none where links are shown together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reach: Option<Reach>,
    /// Cost of a byte there, compared with other channels.
    pub cost: u64,
    /// Maximum number of bytes of records in one line.
    pub mtu: u64,
    /// Long-term rate limit, in bytes of lines per minute.
    pub bytes_per_minute: u64,
    /// Long-term rate limit, in lines or their pieces per minute.
    pub lines_per_minute: u64,
    /// Remaining send budget in bytes.
    pub bytes_left: u64,
    /// Number of peers heard there lately.
    pub peers: u64,
}

/// Something that should work and does not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Trouble {
    /// The name of a channel, or of what would be one.
    pub channel: String,
    /// Identifies the kind of fault, such as `udp.port-taken`; empty when the daemon is too old to tell.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// What is wrong and what can be done about it, for people.
    #[serde(rename = "words")]
    pub message: String,
    /// For how many seconds it has been so.
    pub seconds: u64,
}

/// How the records of a daemon compare with those that its peers showed lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SyncStatus {
    /// Peers that showed the same records when last heard, of those heard lately.
    pub agreeing: u64,
    /// Peers that showed something else.
    pub differing: u64,
    /// Number of records that the peer with most of them holds beyond this daemon's; 0 when none holds more.
    pub behind: u64,
    /// Seconds since a peer last showed the same records; none when that has not happened yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_of_older_and_newer_programs_are_read() {
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
