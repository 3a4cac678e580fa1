//! Rows that leave a collector for other databases.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::metrics::{CUSTOM, HostMetric, prometheus_name};
use crate::sample::Readings;
use crate::{collect::text_file, metrics};
use dcache::{PeerId, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Label with the peer ID of the robot.
pub const ROBOT: &str = "robot";
/// Label with the name of the robot.
pub const ROBOT_NAME: &str = "robot_name";
/// Labels that a series of a robot's program must not have, because a database or the collector sets them.
const RESERVED: [&str; 4] = [ROBOT, ROBOT_NAME, "job", "instance"];

/// A row that has its place in time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutgoingRow<'a> {
    /// Robot that measured the row.
    pub robot: PeerId,
    /// Name of the robot, if it is known.
    pub name: Option<&'a str>,
    /// Place of the row in time.
    pub time: Time,
    /// The values of the row.
    pub readings: &'a Readings,
}

/// Returns the name and the labels of a program's series. Returns `None` for a series that could be taken for one of
/// another robot, or for a quantity that dt-swarm measures.
pub(super) fn custom_series(series: &str) -> Option<(&str, BTreeMap<&str, String>)> {
    let (name, labels) = text_file::parts(series)?;
    let is_own = |row: &&HostMetric| *row != &CUSTOM && prometheus_name(&row.metric) == name;
    let is_reserved = |key: &&str| RESERVED.contains(key) || key.starts_with("__");
    let is_allowed = !metrics::ALL.iter().copied().any(|row| is_own(&row)) && !labels.keys().any(is_reserved);
    (is_allowed && !name.starts_with("__")).then_some((name, labels))
}

/// Returns the names of the metrics of rows that are measured by dt-swarm.
pub(super) fn metrics_of(rows: &[OutgoingRow<'_>]) -> BTreeSet<&'static HostMetric> {
    let readings = rows.iter().flat_map(|row| row.readings.iter());
    readings.map(|reading| reading.series.metric).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::metrics::{NETWORK_SENT, TEMPERATURE};

    /// Returns readings of a gauge, a counter and a program.
    pub(in crate::collectors) fn readings(value: f64) -> Readings {
        let mut readings = Readings::default();
        readings.add_for(&TEMPERATURE, "cpu", value);
        readings.add_for(&NETWORK_SENT, "wlan0", value * 1000.0);
        readings.add_for(&CUSTOM, r#"camera_rate{side="left"}"#, 30.0);
        readings
    }

    #[test]
    fn a_program_cannot_pretend_to_be_another_robot_or_dt_swarm() {
        assert_eq!(custom_series("camera_rate").map(|(name, _)| name), Some("camera_rate"));
        for wrong in [
            "hw_temperature_celsius",
            r#"camera_rate{robot="x"}"#,
            r#"camera_rate{robot_name="x"}"#,
            r#"camera_rate{instance="x"}"#,
            r#"camera_rate{__name__="x"}"#,
            "__name__",
            "camera rate",
            "",
        ] {
            assert_eq!(custom_series(wrong), None, "{wrong}");
        }
    }
}
