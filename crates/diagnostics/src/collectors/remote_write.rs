//! Rows in the format of Prometheus remote write, version 1: a protobuf message, compressed by Snappy.
//!
//! The names are those of `/metrics`. Each series has the labels `robot` and `robot_name`. Values of local programs keep
//! their names.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::outgoing::{OutgoingRow, ROBOT, ROBOT_NAME, custom_series};
use crate::metrics::{CUSTOM, Series, prometheus_key, prometheus_name};
use prost::Message as _;
use std::collections::BTreeMap;

/// Headers of a request with such a body.
pub const HEADERS: [(&str, &str); 3] = [
    ("Content-Type", "application/x-protobuf"),
    ("Content-Encoding", "snappy"),
    ("X-Prometheus-Remote-Write-Version", "0.1.0"),
];
/// Label with the name of the metric.
const NAME: &str = "__name__";

/// The message `WriteRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    series: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, prost::Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    /// Milliseconds since the Unix epoch.
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// Error for rows that are too many for one request: 4 GB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rows are too many for one request")]
pub struct TooManyRows;

/// Returns the body of a request with rows, in which the samples of each series are in the order of time. Of several
/// samples of a series at the same time, the last one counts.
///
/// # Errors
/// Returns an error if the rows have over 4 GB.
pub fn encode(rows: &[OutgoingRow<'_>]) -> Result<Vec<u8>, TooManyRows> {
    snap::raw::Encoder::new().compress_vec(&request(rows).encode_to_vec()).map_err(|_| TooManyRows)
}

fn request(rows: &[OutgoingRow<'_>]) -> WriteRequest {
    let mut series: BTreeMap<Vec<Label>, BTreeMap<i64, f64>> = BTreeMap::new();
    for row in rows {
        let timestamp = i64::try_from(row.time.0.saturating_mul(1000)).unwrap_or(i64::MAX);
        for reading in row.readings.iter() {
            if let Some(labels) = labels(row, &reading.series) {
                series.entry(labels).or_default().insert(timestamp, reading.value);
            }
        }
    }
    let of_series = |(labels, samples): (Vec<Label>, BTreeMap<i64, f64>)| {
        let samples = samples.into_iter().map(|(timestamp, value)| Sample { value, timestamp }).collect();
        TimeSeries { labels, samples }
    };
    WriteRequest { series: series.into_iter().map(of_series).collect() }
}

/// Returns the labels of a series, sorted by their names.
fn labels(row: &OutgoingRow<'_>, series: &Series) -> Option<Vec<Label>> {
    let mut labels: BTreeMap<String, String> = BTreeMap::new();
    if series.metric == &CUSTOM {
        let (name, custom) = custom_series(series.label.as_str())?;
        labels.extend(custom.into_iter().map(|(key, value)| (key.to_owned(), value)));
        labels.insert(NAME.to_owned(), name.to_owned());
    } else {
        let attributes =
            series.metric.attributes.iter().map(|(key, value)| (prometheus_key(key), (*value).to_owned()));
        labels.extend(attributes);
        labels.extend(series.metric.label.map(|key| (prometheus_key(key), series.label.as_str().to_owned())));
        labels.insert(NAME.to_owned(), prometheus_name(&series.metric.metric));
    }
    labels.insert(ROBOT.to_owned(), row.robot.to_string());
    labels.extend(row.name.map(|name| (ROBOT_NAME.to_owned(), name.to_owned())));
    // An empty label is the same as none.
    Some(
        labels
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| Label { name, value })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::super::outgoing::tests::readings;
    use super::*;
    use dcache::{Keypair, Time};

    #[test]
    fn series_are_sorted_and_have_the_names_of_prometheus() {
        let robot = Keypair::from_seed([1; 32]).peer_id();
        let (one, two) = (readings(40.0), readings(41.0));
        let row = |time, readings| OutgoingRow { robot, name: Some("duckie"), time: Time(time), readings };
        let body = encode(&[row(1_700_000_060, &two), row(1_700_000_000, &one)]).unwrap();
        let plain = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        let request = WriteRequest::decode(plain.as_slice()).unwrap();
        let text = |series: &TimeSeries| {
            let labels = series.labels.iter().map(|label| format!("{}={}", label.name, label.value));
            labels.collect::<Vec<_>>().join(" ")
        };
        let expected = [
            format!("__name__=camera_rate robot={robot} robot_name=duckie side=left"),
            format!("__name__=hw_temperature_celsius hw_name=cpu robot={robot} robot_name=duckie"),
            format!(
                "__name__=system_network_io_bytes_total network_interface_name=wlan0 \
                 network_io_direction=transmit robot={robot} robot_name=duckie"
            ),
        ];
        assert_eq!(request.series.iter().map(text).collect::<Vec<_>>(), expected);
        let samples: Vec<(f64, i64)> =
            request.series[1].samples.iter().map(|sample| (sample.value, sample.timestamp)).collect();
        assert_eq!(samples, [(40.0, 1_700_000_000_000), (41.0, 1_700_000_060_000)]);
        for series in &request.series {
            assert!(series.labels.is_sorted_by(|one, next| one.name < next.name));
        }
    }

    #[test]
    fn the_bytes_of_a_message_are_those_of_the_format() {
        let label = Label { name: "a".to_owned(), value: "b".to_owned() };
        let series = TimeSeries { labels: vec![label], samples: vec![Sample { value: 1.0, timestamp: 5 }] };
        let bytes = WriteRequest { series: vec![series] }.encode_to_vec();
        let expected = [
            &[0x0a, 21, 0x0a, 6, 0x0a, 1, b'a', 0x12, 1, b'b', 0x12, 11, 0x09][..],
            &1.0_f64.to_le_bytes(),
            &[0x10, 5],
        ];
        assert_eq!(bytes, expected.concat());
    }
}
