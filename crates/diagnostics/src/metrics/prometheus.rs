//! The names of metrics for Prometheus, by the rule of OpenTelemetry's "Prometheus and OpenMetrics compatibility".
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use telemetry::{Metric, MetricKind};

/// Units, and their words in names for Prometheus.
const UNITS: [(&str, &str); 8] = [
    ("By", "bytes"),
    ("s", "seconds"),
    ("Cel", "celsius"),
    ("V", "volts"),
    ("A", "amperes"),
    ("W", "watts"),
    ("dBm", "dbm"),
    ("1", "ratio"),
];

/// Last words of the series of histograms and summaries. Other names must not end with them, as `promtool check metrics` says.
const RESERVED: [&str; 3] = ["_bucket", "_count", "_sum"];

/// Returns the name of a metric for Prometheus: words joined by `_`, with the unit, and with `total` for a counter. A
/// unit in braces, which only names the counted thing, is left out, and so is a last word that is reserved.
pub fn prometheus_name(metric: &Metric) -> String {
    let mut name = prometheus_key(metric.name);
    if let Some(rest) = RESERVED.iter().find_map(|word| name.strip_suffix(word)) {
        name = rest.to_owned();
    }
    let unit = UNITS.iter().find(|(unit, _)| *unit == metric.unit).map(|(_, word)| *word);
    let total = (metric.kind == MetricKind::Counter).then_some("total");
    for word in unit.into_iter().chain(total) {
        name.push('_');
        name.push_str(word);
    }
    name
}

/// Returns the name of an attribute for Prometheus.
pub fn prometheus_key(key: &str) -> String {
    key.replace('.', "_")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{
        ALL, BOOTS, CPU_COUNT, CPU_UTILIZATION, DISK_BUSY, LOAD_1, NETWORK_SENT, TEMPERATURE, WIFI_SIGNAL,
    };

    #[test]
    fn names_follow_the_rule_of_open_telemetry() {
        for (row, name) in [
            (&CPU_UTILIZATION, "system_cpu_utilization_ratio"),
            (&CPU_COUNT, "system_cpu_logical"),
            (&LOAD_1, "system_cpu_load_average_1m"),
            (&NETWORK_SENT, "system_network_io_bytes_total"),
            (&DISK_BUSY, "system_disk_io_time_seconds_total"),
            (&TEMPERATURE, "hw_temperature_celsius"),
            (&WIFI_SIGNAL, "robot_wifi_signal_dbm"),
            (&BOOTS, "robot_boots_total"),
        ] {
            assert_eq!(prometheus_name(&row.metric), name);
        }
    }

    #[test]
    fn every_unit_of_the_table_is_known_and_no_name_has_two_metrics() {
        let mut names = std::collections::BTreeMap::new();
        for row in ALL {
            let unit = row.metric.unit;
            let is_annotation = unit.starts_with('{') && unit.ends_with('}');
            assert!(is_annotation || UNITS.iter().any(|(known, _)| *known == unit), "{unit}");
            let known = names.insert(prometheus_name(&row.metric), row.metric);
            assert!(known.is_none_or(|known| known == row.metric), "{}", row.metric.name);
        }
    }
}
