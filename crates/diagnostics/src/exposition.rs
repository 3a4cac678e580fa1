//! The readings of a robot in the text format of Prometheus, version 0.0.4.
//!
//! Values of local programs keep their own names. Counters of dt-swarm itself begin with `dt_swarm_`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::collect::text_file::name_of;
use crate::metrics::{CUSTOM, Series, prometheus_key, prometheus_name};
use crate::sample::Readings;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use telemetry::{Metric, MetricKind, metrics};

/// Media type of the format.
pub const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// Start of the names of dt-swarm's own counters.
const OWN: &str = "dt_swarm_";
/// Text for people about the values of local programs.
const CUSTOM_HELP: &str = "Value of a local program.";

/// All series of one name.
#[derive(Debug)]
struct Family {
    help: &'static str,
    kind: &'static str,
    lines: String,
}

/// Returns the text for readings, and for the counters of dt-swarm by the names of their metrics.
pub fn exposition(readings: &Readings, counters: &BTreeMap<String, u64>) -> String {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for reading in readings.iter().filter(|reading| reading.series.metric != &CUSTOM) {
        let metric = &reading.series.metric.metric;
        let name = prometheus_name(metric);
        let labels = labels(&reading.series);
        add(&mut families, name, (metric.help, kind(metric)), &labels, &reading.value);
    }
    for (name, count) in counters {
        let known = metrics::find(name);
        let plain = known.map_or_else(|| prometheus_key(name), prometheus_name);
        let about = known.map_or(("Counter of a service.", "untyped"), |metric| (metric.help, kind(metric)));
        add(&mut families, format!("{OWN}{plain}"), about, "", count);
    }
    for reading in readings.of(&CUSTOM) {
        let series = reading.series.label.as_str();
        let name = name_of(series);
        // A program cannot add series to a metric that the robot measures itself.
        if families.get(name).is_none_or(|family| family.help == CUSTOM_HELP) {
            let labels = series.get(name.len()..).unwrap_or_default();
            add(&mut families, name.to_owned(), (CUSTOM_HELP, "gauge"), labels, &reading.value);
        }
    }
    families.into_iter().map(|(name, family)| family.text(&name)).collect()
}

fn add(
    families: &mut BTreeMap<String, Family>,
    name: String,
    (help, kind): (&'static str, &'static str),
    labels: &str,
    value: &impl std::fmt::Display,
) {
    let line = format!("{name}{labels} {value}\n");
    families.entry(name).or_insert_with(|| Family { help, kind, lines: String::new() }).lines += &line;
}

const fn kind(metric: &Metric) -> &'static str {
    match metric.kind {
        MetricKind::Counter => "counter",
        MetricKind::Gauge => "gauge",
    }
}

impl Family {
    fn text(self, name: &str) -> String {
        let Self { help, kind, lines } = self;
        format!("# HELP {name} {}\n# TYPE {name} {kind}\n{lines}", escaped(help, &[]))
    }
}

/// Returns the labels of a series in braces; nothing if it has none.
fn labels(series: &Series) -> String {
    let own = series.metric.label.map(|key| (key, series.label.as_str()));
    let mut text = String::new();
    for (key, value) in series.metric.attributes.iter().copied().chain(own) {
        let before = if text.is_empty() { '{' } else { ',' };
        // Writing to a String does not fail.
        let _ = write!(text, "{before}{}=\"{}\"", prometheus_key(key), escaped(value, &['"']));
    }
    if text.is_empty() { text } else { text + "}" }
}

/// Returns a text with backslashes, line ends and these other characters escaped.
fn escaped(text: &str, others: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' => escaped += "\\n",
            '\\' => escaped += "\\\\",
            char if others.contains(&char) => escaped.extend(['\\', char]),
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::text_file::{MAX_SERIES, parse};
    use crate::metrics::{ALL, DISK_READ, DISK_WRITTEN, MAX_LABEL_BYTES, TEMPERATURE, UPTIME};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn readings() -> Readings {
        let mut readings = Readings::default();
        readings.add(&UPTIME, 12.5);
        readings.add_for(&TEMPERATURE, "a\"\\b", 1e21);
        readings.add_for(&DISK_READ, "sda", 1.0);
        readings.add_for(&DISK_WRITTEN, "sda", 2.0);
        readings.add_for(&CUSTOM, r#"camera{side="left"}"#, 30.0);
        readings.add_for(&CUSTOM, "camera_lost", 3.0);
        readings.add_for(&CUSTOM, r#"camera{side="right"}"#, 29.0);
        readings
    }

    #[test]
    fn the_series_of_a_name_stand_together() {
        let counters = BTreeMap::from([("brain.beacons.sent".to_owned(), 7), ("x.y".to_owned(), 1)]);
        let text = exposition(&readings(), &counters);
        let expected = r#"# HELP camera Value of a local program.
# TYPE camera gauge
camera{side="left"} 30
camera{side="right"} 29
# HELP camera_lost Value of a local program.
# TYPE camera_lost gauge
camera_lost 3
# HELP dt_swarm_brain_beacons_sent_total Beacons that this node sent.
# TYPE dt_swarm_brain_beacons_sent_total counter
dt_swarm_brain_beacons_sent_total 7
# HELP dt_swarm_x_y Counter of a service.
# TYPE dt_swarm_x_y untyped
dt_swarm_x_y 1
# HELP hw_temperature_celsius Temperature of a part of the robot.
# TYPE hw_temperature_celsius gauge
hw_temperature_celsius{hw_name="a\"\\b"} 1000000000000000000000
# HELP system_disk_io_bytes_total Bytes read from or written to the disk.
# TYPE system_disk_io_bytes_total counter
system_disk_io_bytes_total{disk_io_direction="read",system_device="sda"} 1
system_disk_io_bytes_total{disk_io_direction="write",system_device="sda"} 2
# HELP system_uptime_seconds Time since the last boot.
# TYPE system_uptime_seconds gauge
system_uptime_seconds 12.5
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn a_program_cannot_add_to_a_metric_of_the_robot() {
        let mut readings = Readings::default();
        readings.add(&UPTIME, 1.0);
        readings.add_for(&CUSTOM, "a", 1.0);
        readings.add_for(&CUSTOM, r#"system_uptime_seconds{x="1"}"#, 2.0);
        assert_eq!(exposition(&readings, &BTreeMap::new()).matches("system_uptime_seconds").count(), 3);
    }

    proptest! {
        #[test]
        fn each_reading_is_one_line_whatever_its_label_is(
            added in proptest::collection::vec((0..ALL.len(), "(?s).{0,20}", any::<f64>()), 0..60),
        ) {
            let mut readings = Readings::default();
            for (row, label, value) in &added {
                if ALL[*row] != &CUSTOM && ALL[*row].label.is_some() {
                    readings.add_for(ALL[*row], label, *value);
                }
            }
            let text = exposition(&readings, &BTreeMap::new());
            let lines: BTreeSet<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
            prop_assert_eq!(lines.len(), readings.len());
            // The reader of text files refuses series with long names, and no others.
            let is_short = |line: &&&str| line.rsplit_once(' ').is_some_and(|(series, _)| series.len() <= MAX_LABEL_BYTES);
            let short: String = lines.iter().filter(is_short).flat_map(|line| [*line, "\n"]).collect();
            prop_assert_eq!(parse(&short).values.len(), short.lines().count().min(MAX_SERIES), "{}", short);
        }
    }
}
