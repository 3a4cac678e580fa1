//! The network interfaces, and the strength of the Wi-Fi signal.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Root, number};
use crate::metrics::{
    HostMetric, NETWORK_RECEIVE_DROPPED, NETWORK_RECEIVE_ERRORS, NETWORK_RECEIVED, NETWORK_SEND_DROPPED,
    NETWORK_SEND_ERRORS, NETWORK_SENT, WIFI_SIGNAL,
};
use crate::sample::Readings;

/// Maximum number of lines of a file that are read. A robot with many containers has an interface for each.
const MAX_LINES: usize = 512;
/// Maximum number of interfaces that are measured.
const MAX_INTERFACES: usize = 8;
/// Beginnings of the names of interfaces that stay inside the host.
const INTERNAL: [&str; 6] = ["lo", "docker", "veth", "br-", "virbr", "dummy"];
/// Columns of `/proc/net/dev` after the name, and their metrics.
const COLUMNS: [(usize, &HostMetric); 6] = [
    (0, &NETWORK_RECEIVED),
    (2, &NETWORK_RECEIVE_ERRORS),
    (3, &NETWORK_RECEIVE_DROPPED),
    (8, &NETWORK_SENT),
    (10, &NETWORK_SEND_ERRORS),
    (11, &NETWORK_SEND_DROPPED),
];
/// Column of `/proc/net/wireless` after the name that has the level of the signal.
const LEVEL: usize = 2;

/// Adds the readings of the interfaces.
pub(super) fn read(root: &impl Root, readings: &mut Readings) {
    let text = root.read("/proc/net/dev").unwrap_or_default();
    for (name, columns) in lines(&text).filter(|(name, _)| is_external(name)).take(MAX_INTERFACES) {
        for (column, metric) in COLUMNS {
            if let Some(value) = columns.get(column).and_then(|word| word.parse::<u64>().ok()) {
                readings.add_for(metric, name, value as f64);
            }
        }
    }
    let text = root.read("/proc/net/wireless").unwrap_or_default();
    for (name, columns) in lines(&text).take(MAX_INTERFACES) {
        if let Some(level) = columns.get(LEVEL).and_then(|word| signal(word)) {
            readings.add_for(&WIFI_SIGNAL, name, level);
        }
    }
}

/// Returns the name and the columns of each interface. The two headings have no colon.
fn lines(text: &str) -> impl Iterator<Item = (&str, Vec<&str>)> {
    text.lines().take(MAX_LINES).filter_map(|line| {
        // The name of an alias contains a colon, and the first column may follow the last colon without a space.
        let (name, columns) = line.rsplit_once(':')?;
        Some((name.trim(), columns.split_whitespace().take(16).collect()))
    })
}

fn is_external(name: &str) -> bool {
    !name.is_empty() && !INTERNAL.iter().any(|internal| name.starts_with(internal))
}

/// Returns the level of a signal in dBm. Some drivers state it modulo 256, others as a relative number, which is no
/// level.
fn signal(word: &str) -> Option<f64> {
    let level = number(word)?;
    let level = if (128.0..256.0).contains(&level) { level - 256.0 } else { level };
    (-128.0..0.0).contains(&level).then_some(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_columns_of_interfaces_are_read() {
        let text = "Inter-|   Receive                            |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls\n\
            \x20   lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n wlan0:123 4 5 6 0 0 0 0 789 10 11 12 0 0 0 0\nbroken\n";
        let read: Vec<_> = lines(text).collect();
        let names: Vec<&str> = read.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["lo", "wlan0"]);
        assert_eq!((read[1].1[0], read[1].1[11]), ("123", "12"));
        assert!(is_external("wlan0") && !is_external("veth12ab") && !is_external(""));
    }

    #[test]
    fn the_level_of_a_signal_is_negative() {
        for (word, level) in [
            ("-56.", Some(-56.0)),
            ("200.", Some(-56.0)),
            ("70", None),
            ("0", None),
            ("-256", None),
            ("nan", None),
        ] {
            assert_eq!(signal(word), level, "{word}");
        }
    }
}
