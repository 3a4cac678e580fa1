//! Requests to the service `diagnostics` on the control socket, and its answers.

use crate::fleet::RobotHealth;
use crate::health::{Finding, Level};
use dcache::{PeerId, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A request to the service `diagnostics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Asks for the health of this robot. The answer is [`Answer::Health`].
    Health {},
    /// Asks for a page of the health of all robots. The answer is [`Answer::Fleet`].
    Fleet {
        /// Number of rows that the client has already.
        #[serde(default)]
        from: usize,
    },
    /// Asks for the present values of all metrics of a robot. The answer is [`Answer::Values`].
    Values {
        /// The robot; `None` for this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<PeerId>,
        /// Whether the rows that this collector has stored are meant, and the robot is not asked.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_collected: bool,
    },
    /// Asks for the history of one metric of a robot. The answer is [`Answer::Points`], with a part of the points.
    Points {
        /// The robot; `None` for this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        peer: Option<PeerId>,
        /// Name of the metric.
        metric: String,
        /// Seconds before now at which the history begins.
        seconds: u64,
        /// Number of the last row that the client has; `None` for the first part.
        #[serde(default)]
        after: Option<u64>,
        /// Whether the rows that this collector has stored are meant, and the robot is not asked.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_collected: bool,
    },
    /// Asks for the collectors of the swarm, and for the batches of this node. The answer is [`Answer::Collectors`].
    Collectors {},
    /// Takes values of a program on this robot. The answer is [`Answer::Pushed`].
    Push {
        /// Name of the program. Its values replace the former ones of this program.
        program: String,
        /// The values, in the text format of Prometheus.
        text: String,
    },
}

/// An answer of the service `diagnostics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// Answer to [`Request::Health`].
    Health(OwnHealth),
    /// Answer to [`Request::Fleet`].
    Fleet {
        /// The next robots, the worst first. An empty page is the end.
        robots: Vec<RobotHealth>,
    },
    /// Answer to [`Request::Values`].
    Values {
        /// The values, ordered by metric and thing.
        values: Vec<Value>,
    },
    /// Answer to [`Request::Points`].
    Points(Points),
    /// Answer to [`Request::Collectors`].
    Collectors(Collectors),
    /// Answer to [`Request::Push`].
    Pushed {
        /// Number of values that were taken.
        taken: u64,
        /// Number of lines that were refused.
        refused: u64,
    },
}

/// The health of this robot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnHealth {
    /// Peer ID of this robot.
    pub peer: PeerId,
    /// Name of this robot.
    pub name: String,
    /// The worst level of all findings.
    pub level: Level,
    /// Findings that are not OK, the worst first.
    pub findings: Vec<Finding>,
    /// Whether the robot was measured already. A robot on a host without the files of Linux never is.
    pub is_measured: bool,
}

/// The collectors of the swarm, and the batches of this node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collectors {
    /// The collectors that admins name.
    pub collectors: Vec<CollectorRow>,
    /// The history of this robot.
    pub own: OwnBatches,
    /// The batches of other robots that this node carries.
    pub carried: CarriedBatches,
    /// The rows that this node has stored; `None` if there are none.
    pub collected: Option<CollectedTotals>,
}

/// A collector of the swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectorRow {
    /// Peer ID of the collector.
    pub peer: PeerId,
    /// Whether the collector states a key. Without one, nothing is sealed for it.
    pub has_key: bool,
}

/// The history of a robot, as far as it concerns collectors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnBatches {
    /// Whether the configuration allows to give the history to collectors.
    pub is_allowed: bool,
    /// Number of the last row that a collector has stored; zero if there is none.
    pub stored: u64,
    /// Number of batches without a receipt.
    pub batches: u64,
    /// Number of their rows.
    pub rows: u64,
    /// Size of these batches in bytes.
    pub bytes: u64,
    /// Number of rows that no collector got, because they were older than the history on the disk.
    pub lost: u64,
}

/// The batches of other robots that a node carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CarriedBatches {
    /// Maximum size of all batches in bytes; zero if this node carries nothing.
    pub limit: u64,
    /// Number of robots.
    pub robots: u64,
    /// Number of batches.
    pub batches: u64,
    /// Size of these batches in bytes.
    pub bytes: u64,
}

/// The rows that a collector has stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectedTotals {
    /// Number of robots.
    pub robots: u64,
    /// Number of rows.
    pub rows: u64,
    /// Number of rows that have no place in time yet.
    pub unplaced: u64,
    /// Number of rows that each export has not sent yet, by the names of the exports.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub waiting: BTreeMap<String, u64>,
}

/// The name of a series: a metric, and the thing that was measured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SeriesName {
    /// OpenTelemetry name of the metric; for a value of a program, the program's name of its series.
    pub metric: String,
    /// Attributes that all series of the metric have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The thing that was measured; empty if there is only one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Unit, as UCUM writes it.
    pub unit: String,
    /// Whether the value only grows.
    #[serde(default)]
    pub is_counter: bool,
}

/// The present value of a series.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    /// Name of the series.
    pub series: SeriesName,
    /// The last measured value.
    pub value: f64,
}

/// A part of the history of one metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Points {
    /// The series of the metric in this part.
    pub series: Vec<SeriesName>,
    /// The rows, in order.
    pub rows: Vec<Row>,
    /// Seconds between two rows, unless the robot was off: 10, 60 or 3600.
    pub step_seconds: u64,
    /// Number after which the next part begins; `None` if this is the last part.
    pub next: Option<u64>,
    /// Whether the clock of the robot is right now. If not, the times have the right distances within a boot, but may be
    /// wrong together.
    pub is_clock_certain: bool,
}

/// The values of all series of a part at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Time of the measurement.
    pub time: Time,
    /// Whether the time is exact. The time of a boot during which the robot's clock was never right is only a bound.
    pub is_exact: bool,
    /// A value for each series of the part; `None` if it was not measured.
    pub values: Vec<Option<f64>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_back_as_written() {
        for request in [
            Request::Health {},
            Request::Fleet { from: 7 },
            Request::Values { peer: None, is_collected: false },
            Request::Points {
                peer: None,
                metric: "hw.temperature".to_owned(),
                seconds: 7200,
                after: Some(9),
                is_collected: true,
            },
            Request::Collectors {},
            Request::Push { program: "camera".to_owned(), text: "camera_hz 30\n".to_owned() },
        ] {
            let json = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request, "{json}");
        }
    }
}
