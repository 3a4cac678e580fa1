//! The section of the configuration.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// File with the permission of Duckietown's robots to send statistics.
const PERMISSION_FILE: &str = "/data/config/permissions/allow_push_stats_data";

/// The section `[usage]` of the configuration: usage statistics, which are off until the owner of the robot permits them with this
/// file or with `usage allow`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// File that permits usage statistics of this robot with `true`, `yes` or `1`, and denies them with every other content. It is
    /// read once a minute. Where it does not exist, the answer of the owner counts.
    pub permission_file: PathBuf,
    /// Time, in hours, after the end of a week in which robots send their reports, each at a random time.
    pub spread_hours: u16,
    /// On a collector, smallest number of robots that a value is shown for. Numbers below 5 count as 5.
    pub minimum_count: u16,
}

impl Default for Settings {
    fn default() -> Self {
        Self { permission_file: PERMISSION_FILE.into(), spread_hours: 48, minimum_count: 5 }
    }
}
