//! The section `[diagnostics]` of the configuration.

use crate::exporting::ExportSettings;
use crate::health::settings::RuleSettings;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The section `[diagnostics]` of the configuration. [Health and metrics](diagnostics.md) explains what it changes.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Whether the robot measures itself and states its health. Without it, other robots list this one as STALE, and this one
    /// still shows their health.
    pub enabled: bool,
    /// Whether the history is kept on the disk: samples for a day, minutes for a month, hours for two years, in a file of
    /// 23 MB in the data folder. Without it, only the present values are known.
    pub keep_history: bool,
    /// Paths whose file systems are measured, besides `/`, the data folder and the shared folder.
    pub filesystems: Vec<PathBuf>,
    /// Folder in which local programs leave values: files whose names end with `.prom`, in the text format of Prometheus.
    /// Default: the folder `metrics` in the data folder.
    pub text_files: Option<PathBuf>,
    /// IP address and port at which dt-device-health is asked for the state of the board and the battery. An empty text asks
    /// nobody.
    pub device_health: String,
    /// Whether other hosts may read `/metrics` when the key `gateway` lets them connect. Programs on this robot always may.
    pub metrics_for_others: bool,
    /// Folder that contains the folders `proc` and `sys` of the host. In a container, it is the place where the root folder
    /// of the host is mounted.
    pub host_root: PathBuf,
    /// Whether the history is given to the collectors of the swarm. It is sealed, so that only they can read it. Only admins name
    /// collectors. Without any, nothing is given.
    pub send_history: bool,
    /// Maximum time, in minutes, for which a new row of the history waits before it is sealed. A shorter time makes more and
    /// smaller parts. Rows of the time before a power cut do not wait.
    pub send_after_minutes: u64,
    /// Space, in MiB, for sealed histories of other robots that this node carries to the collectors. Only nodes with the role
    /// trusted or a stronger one carry. With 0, this node carries nothing.
    pub carry_mib: u64,
    /// Number of days for which a collector keeps the histories of robots.
    pub collected_days: u64,
    /// Databases to which a collector sends the histories of robots, by names of your choice, such as
    /// `[diagnostics.export.main]` with `url = "http://127.0.0.1:9090/api/v1/write"` and `format = "remote_write"`. The other
    /// format is `otlp`. `ca_file` names a PEM file with certificates. `authorization_file` names a file with the header
    /// `Authorization`.
    pub export: BTreeMap<String, ExportSettings>,
    /// Changes of the table of rules, by the codes of the rules, such as `[diagnostics.rules."temperature.high"]` with
    /// `warn = 70.0`. The key `off = true` leaves a rule out. A code that is not in the table adds a rule.
    pub rules: BTreeMap<String, RuleSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            enabled: true,
            keep_history: true,
            filesystems: Vec::new(),
            text_files: None,
            device_health: "127.0.0.1:8085".to_owned(),
            metrics_for_others: false,
            host_root: PathBuf::from("/"),
            send_history: true,
            send_after_minutes: 360,
            carry_mib: 64,
            collected_days: 800,
            export: BTreeMap::new(),
            rules: BTreeMap::new(),
        }
    }
}
