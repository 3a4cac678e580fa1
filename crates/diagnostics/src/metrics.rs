//! The table of metrics of a host: names, units, kinds and texts of all quantities that a robot measures about itself.
//!
//! Inside, a metric has its OpenTelemetry name; [`prometheus_name`] derives the name for Prometheus. Names below
//! `system` and `hw` are those of the semantic conventions of OpenTelemetry 1.38. Quantities that the conventions do
//! not have are below `robot`.
//!
//! A quantity is measured for several things, such as network interfaces. Each thing is a [`Series`], told apart by a
//! [`Label`].
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod label;
mod prometheus;

pub use label::{Label, MAX_LABEL_BYTES};
pub use prometheus::{prometheus_key, prometheus_name};
use std::cmp::Ordering;
use telemetry::Metric;

/// A row of the table. Rows are ordered by their numbers.
#[derive(Debug)]
pub struct HostMetric {
    /// Number of the row on the disk. It never changes after its release, and is never used for another row. When not
    /// all readings have room, those with the lowest numbers are kept.
    pub number: u16,
    /// Name, unit, kind and help. Rows that differ only in their attributes have the same ones.
    pub metric: Metric,
    /// Attributes that all series of the row have.
    pub attributes: &'static [(&'static str, &'static str)],
    /// Key of the attribute that tells the series of the row apart; `None` if there is only one series.
    pub label: Option<&'static str>,
    /// The value that stands for a longer time.
    pub summary: Summary,
}

/// Value that stands for all values of a series in a minute or in an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Summary {
    /// The mean of the values.
    Mean,
    /// The last value.
    Last,
    /// The greatest value, where high values are the bad ones.
    Greatest,
    /// The least value, where low values are the bad ones.
    Least,
}

impl PartialEq for HostMetric {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for HostMetric {}

impl PartialOrd for HostMetric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for HostMetric {
    fn cmp(&self, other: &Self) -> Ordering {
        self.number.cmp(&other.number)
    }
}

/// A metric of one thing, such as the temperature of one sensor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Row of the table.
    pub metric: &'static HostMetric,
    /// The thing that was measured; empty if the row has only one series.
    pub label: Label,
}

/// Returns the row with this number.
pub fn by_number(number: u16) -> Option<&'static HostMetric> {
    let place = ALL.binary_search_by_key(&number, |row| row.number).ok()?;
    ALL.get(place).copied()
}

/// Returns the rows with this OpenTelemetry name.
pub fn by_name(name: &str) -> impl Iterator<Item = &'static HostMetric> {
    ALL.iter().copied().filter(move |row| row.metric.name == name)
}

/// Defines a static for each row, and [`ALL`]. The rows must be in the order of their numbers.
macro_rules! host_metrics {
    ($(
        $constant:ident = $number:literal $kind:ident $name:literal
            $([$($key:literal = $value:literal),+])? $(per $label:literal)?,
            $unit:literal, $summary:ident, $help:literal;
    )*) => {
        $(
            #[doc = $help]
            pub static $constant: HostMetric = HostMetric {
                number: $number,
                metric: Metric::$kind($name, $unit, $help),
                attributes: &[$($(($key, $value)),+)?],
                label: host_metrics!(@label $($label)?),
                summary: Summary::$summary,
            };
        )*

        /// The table, ordered by number.
        pub static ALL: &[&HostMetric] = &[$(&$constant),*];
    };
    (@label) => { None };
    (@label $label:literal) => { Some($label) };
}

host_metrics! {
    UPTIME = 1 gauge "system.uptime", "s", Last,
        "Time since the last boot.";
    HEALTH_LEVEL = 2 gauge "robot.health.level", "{level}", Greatest,
        "Health of the robot: 0 is OK, 1 is WARN, 2 is ERROR, 3 is STALE.";
    BOOTS = 3 counter "robot.boots", "{boot}", Last,
        "Boots of the robot with dt-swarm.";
    CLOCK_CERTAIN = 4 gauge "robot.clock.certain", "{flag}", Least,
        "Whether the time of day is known.";
    READINGS_OMITTED = 5 gauge "robot.readings.omitted", "{reading}", Greatest,
        "Readings that were left out because there are too many, or because they are no numbers.";

    CPU_UTILIZATION = 10 gauge "system.cpu.utilization", "1", Mean,
        "Share of the processor time that was used since the last sample.";
    CPU_COUNT = 11 gauge "system.cpu.logical.count", "{cpu}", Last,
        "Logical processors of the host.";
    LOAD_1 = 12 gauge "system.cpu.load_average.1m", "{thread}", Mean,
        "Mean number of threads that ran or waited in the last minute.";
    LOAD_5 = 13 gauge "system.cpu.load_average.5m", "{thread}", Mean,
        "Mean number of threads that ran or waited in the last five minutes.";
    LOAD_15 = 14 gauge "system.cpu.load_average.15m", "{thread}", Mean,
        "Mean number of threads that ran or waited in the last fifteen minutes.";
    LOAD_SHARE = 15 gauge "robot.cpu.load_per_cpu", "1", Mean,
        "Load of the last five minutes, divided by the number of processors.";

    MEMORY_LIMIT = 20 gauge "system.memory.limit", "By", Last,
        "Memory of the host.";
    MEMORY_AVAILABLE = 21 gauge "system.linux.memory.available", "By", Least,
        "Memory that programs can still get without swapping.";
    MEMORY_UTILIZATION = 22 gauge "system.memory.utilization", "1", Greatest,
        "Share of the memory that is not available.";
    SWAP_USED = 23 gauge "system.paging.usage" ["system.paging.state" = "used"], "By", Greatest,
        "Swap space in use.";
    SWAP_UTILIZATION = 24 gauge "system.paging.utilization" ["system.paging.state" = "used"], "1", Greatest,
        "Share of the swap space in use.";

    TEMPERATURE = 30 gauge "hw.temperature" per "hw.name", "Cel", Greatest,
        "Temperature of a part of the robot.";
    UNDER_VOLTAGE = 31 gauge "robot.board.under_voltage" ["robot.period" = "now"], "{flag}", Greatest,
        "Whether the supply voltage of the board is too low.";
    UNDER_VOLTAGE_SINCE_BOOT = 32 gauge "robot.board.under_voltage" ["robot.period" = "boot"], "{flag}", Greatest,
        "Whether the supply voltage of the board is too low.";
    FREQUENCY_CAPPED = 33 gauge "robot.board.frequency_capped" ["robot.period" = "now"], "{flag}", Greatest,
        "Whether the frequency of the processor is capped.";
    FREQUENCY_CAPPED_SINCE_BOOT = 34 gauge "robot.board.frequency_capped" ["robot.period" = "boot"], "{flag}", Greatest,
        "Whether the frequency of the processor is capped.";
    THROTTLED = 35 gauge "robot.board.throttled" ["robot.period" = "now"], "{flag}", Greatest,
        "Whether the processor is throttled.";
    THROTTLED_SINCE_BOOT = 36 gauge "robot.board.throttled" ["robot.period" = "boot"], "{flag}", Greatest,
        "Whether the processor is throttled.";
    BOARD_STATUS = 37 gauge "robot.board.status", "{level}", Greatest,
        "Status that dt-device-health gives: 0 is ok, 1 is warning, 2 is error.";
    VOLTAGE = 38 gauge "hw.voltage" per "hw.name", "V", Least,
        "Voltage of a part of the robot.";

    BATTERY_CHARGE = 40 gauge "hw.battery.charge" per "hw.name", "1", Least,
        "Charge of the battery, as a share of its capacity.";
    BATTERY_CHARGING = 41 gauge "robot.battery.charging" per "hw.name", "{flag}", Last,
        "Whether the battery is being charged.";
    BATTERY_TIME_LEFT = 42 gauge "hw.battery.time_left" ["hw.state" = "discharging"] per "hw.name", "s", Least,
        "Estimated time until the battery is empty.";
    BATTERY_CURRENT = 43 gauge "robot.battery.current" per "hw.name", "A", Mean,
        "Current of the battery.";
    BATTERY_CYCLES = 44 gauge "robot.battery.cycles" per "hw.name", "{cycle}", Last,
        "Cycles of charging and discharging of the battery.";

    FILESYSTEM_UTILIZATION = 50 gauge "system.filesystem.utilization" per "system.filesystem.mountpoint", "1", Greatest,
        "Share of the file system in use.";
    FILESYSTEM_FREE = 51 gauge "system.filesystem.usage" ["system.filesystem.state" = "free"]
        per "system.filesystem.mountpoint", "By", Least,
        "Space of the file system in this state.";
    FILESYSTEM_LIMIT = 52 gauge "system.filesystem.limit" per "system.filesystem.mountpoint", "By", Last,
        "Size of the file system.";
    DISK_READ = 53 counter "system.disk.io" ["disk.io.direction" = "read"] per "system.device", "By", Last,
        "Bytes read from or written to the disk.";
    DISK_WRITTEN = 54 counter "system.disk.io" ["disk.io.direction" = "write"] per "system.device", "By", Last,
        "Bytes read from or written to the disk.";
    DISK_BUSY = 55 counter "system.disk.io_time" per "system.device", "s", Last,
        "Time in which the disk was busy.";
    DISK_WEAR = 56 gauge "robot.disk.wear" per "system.device", "1", Greatest,
        "Share of the disk's expected life that is used up, as the disk estimates it.";

    NETWORK_RECEIVED = 60 counter "system.network.io" ["network.io.direction" = "receive"]
        per "network.interface.name", "By", Last,
        "Bytes transferred on the network interface.";
    NETWORK_SENT = 61 counter "system.network.io" ["network.io.direction" = "transmit"]
        per "network.interface.name", "By", Last,
        "Bytes transferred on the network interface.";
    NETWORK_RECEIVE_ERRORS = 62 counter "system.network.errors" ["network.io.direction" = "receive"]
        per "network.interface.name", "{error}", Last,
        "Errors on the network interface.";
    NETWORK_SEND_ERRORS = 63 counter "system.network.errors" ["network.io.direction" = "transmit"]
        per "network.interface.name", "{error}", Last,
        "Errors on the network interface.";
    NETWORK_RECEIVE_DROPPED = 64 counter "system.network.packet.dropped" ["network.io.direction" = "receive"]
        per "network.interface.name", "{packet}", Last,
        "Packets that the network interface dropped.";
    NETWORK_SEND_DROPPED = 65 counter "system.network.packet.dropped" ["network.io.direction" = "transmit"]
        per "network.interface.name", "{packet}", Last,
        "Packets that the network interface dropped.";
    WIFI_SIGNAL = 66 gauge "robot.wifi.signal" per "network.interface.name", "dBm", Mean,
        "Strength of the received Wi-Fi signal.";

    GPU_UTILIZATION = 70 gauge "hw.gpu.utilization", "1", Mean,
        "Share of the graphics processor that is used.";
    GPU_MEMORY_USED = 71 gauge "hw.gpu.memory.usage", "By", Greatest,
        "Memory that the graphics processor uses.";
    GPU_POWER = 72 gauge "hw.power" per "hw.name", "W", Mean,
        "Power that a part of the robot draws.";

    CUSTOM = 65535 gauge "custom" per "series", "{value}", Last,
        "Value of a local program, from a text file in the format of Prometheus.";
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn is_name(name: &str) -> bool {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        name.split('.').all(|word| !word.is_empty() && word.bytes().all(is_plain))
    }

    #[test]
    fn numbers_are_sorted_and_unique_and_find_their_rows() {
        assert!(ALL.windows(2).all(|pair| pair[0].number < pair[1].number));
        assert!(ALL.iter().all(|row| by_number(row.number) == Some(*row)));
        assert_eq!((by_number(0), by_number(9)), (None, None));
    }

    #[test]
    fn rows_are_well_formed() {
        for HostMetric { metric, attributes, label, .. } in ALL {
            assert!(is_name(metric.name), "{}", metric.name);
            let mut keys = attributes.iter().map(|(key, _)| key).chain(label);
            assert!(keys.all(|key| is_name(key)), "{}", metric.name);
            let is_sentence = metric.help.starts_with(|first: char| first.is_ascii_uppercase())
                && metric.help.ends_with('.');
            assert!(is_sentence && !metric.help.trim_end_matches('.').contains(". "), "{}", metric.help);
        }
    }

    #[test]
    fn rows_with_the_same_name_differ_only_in_the_values_of_their_attributes() {
        let mut rows: BTreeMap<&str, Vec<&HostMetric>> = BTreeMap::new();
        for row in ALL {
            rows.entry(row.metric.name).or_default().push(row);
        }
        for (name, rows) in rows {
            let values: BTreeSet<_> = rows.iter().map(|row| row.attributes).collect();
            assert_eq!(values.len(), rows.len(), "{name}");
            for row in &rows {
                assert_eq!((row.metric, row.label), (rows[0].metric, rows[0].label), "{name}");
                let keys = |row: &HostMetric| row.attributes.iter().map(|(key, _)| *key).collect::<Vec<_>>();
                assert_eq!(keys(row), keys(rows[0]), "{name}");
            }
            assert_eq!(by_name(name).count(), rows.len());
        }
    }

    #[test]
    fn a_counter_is_summed_up_by_its_last_value() {
        let mut counters = ALL.iter().filter(|row| row.metric.kind == telemetry::MetricKind::Counter);
        assert!(counters.all(|row| row.summary == Summary::Last));
    }
}
