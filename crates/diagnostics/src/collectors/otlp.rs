//! Rows in the format of OTLP, the protocol of OpenTelemetry: the protobuf message `ExportMetricsServiceRequest` of
//! version 1.
//!
//! The names are those of the table of metrics. A robot is a resource, with its peer ID and its name.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::outgoing::{OutgoingRow, metrics_of};
use crate::metrics::HostMetric;
use dcache::PeerId;
use prost::Message as _;
use std::collections::BTreeMap;
use telemetry::MetricKind;

/// Headers of a request with such a body.
pub const HEADERS: [(&str, &str); 1] = [("Content-Type", "application/x-protobuf")];
/// Attribute of a resource with the peer ID of the robot.
const INSTANCE: &str = "service.instance.id";
/// Attribute of a resource with the name of the robot.
const HOST: &str = "host.name";
/// Name of the resources' service, and of the scope of all metrics.
const SERVICE: (&str, &str) = ("service.name", "dt-swarm");
/// The number for sums since some start.
const CUMULATIVE: i32 = 2;
/// Nanoseconds in a second.
const NANOS: u64 = 1_000_000_000;

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Resource {
    #[prost(message, repeated, tag = "1")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeMetrics {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Scope {
    #[prost(string, tag = "1")]
    name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Metric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    unit: String,
    #[prost(message, optional, tag = "5")]
    gauge: Option<Gauge>,
    #[prost(message, optional, tag = "7")]
    sum: Option<Sum>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Gauge {
    #[prost(message, repeated, tag = "1")]
    points: Vec<Point>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Sum {
    #[prost(message, repeated, tag = "1")]
    points: Vec<Point>,
    #[prost(int32, tag = "2")]
    temporality: i32,
    #[prost(bool, tag = "3")]
    is_monotonic: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Point {
    /// Nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = "3")]
    time: u64,
    #[prost(double, optional, tag = "4")]
    value: Option<f64>,
    #[prost(message, repeated, tag = "7")]
    attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct AnyValue {
    #[prost(string, optional, tag = "1")]
    text: Option<String>,
}

/// Returns the body of a request with rows.
pub fn encode(rows: &[OutgoingRow<'_>]) -> Vec<u8> {
    let mut robots: BTreeMap<PeerId, Vec<OutgoingRow<'_>>> = BTreeMap::new();
    for row in rows {
        robots.entry(row.robot).or_default().push(*row);
    }
    Request { resources: robots.values().map(|rows| resource(rows)).collect() }.encode_to_vec()
}

/// Returns the metrics of one robot.
fn resource(rows: &[OutgoingRow<'_>]) -> ResourceMetrics {
    let robot = rows.first().map(|row| attribute(INSTANCE, &row.robot.to_string()));
    let name = rows.iter().rev().find_map(|row| row.name).map(|name| attribute(HOST, name));
    let attributes = [attribute(SERVICE.0, SERVICE.1)].into_iter().chain(robot).chain(name).collect();
    let metrics = metrics_of(rows).into_iter().map(|row| metric(row, rows)).collect();
    let scope = Scope { name: SERVICE.1.to_owned() };
    ResourceMetrics {
        resource: Some(Resource { attributes }),
        scopes: vec![ScopeMetrics { scope: Some(scope), metrics }],
    }
}

/// Returns all values of a row of the table of metrics, in the order of time.
fn metric(of: &'static HostMetric, rows: &[OutgoingRow<'_>]) -> Metric {
    let points = rows.iter().flat_map(|row| {
        row.readings.of(of).map(|reading| {
            let fixed = of.attributes.iter().map(|(key, value)| attribute(key, value));
            let own = of.label.map(|key| attribute(key, reading.series.label.as_str()));
            let time = row.time.0.saturating_mul(NANOS);
            Point { time, value: Some(reading.value), attributes: fixed.chain(own).collect() }
        })
    });
    let mut points: Vec<Point> = points.collect();
    points.sort_by_key(|point| point.time);
    let telemetry::Metric { name, unit, kind, help } = of.metric;
    let (gauge, sum) = match kind {
        MetricKind::Gauge => (Some(Gauge { points }), None),
        MetricKind::Counter => (None, Some(Sum { points, temporality: CUMULATIVE, is_monotonic: true })),
    };
    Metric { name: name.to_owned(), description: help.to_owned(), unit: unit.to_owned(), gauge, sum }
}

fn attribute(key: &str, text: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { text: Some(text.to_owned()) }) }
}

#[cfg(test)]
mod tests {
    use super::super::outgoing::tests::readings;
    use super::*;
    use dcache::{Keypair, Time};

    #[test]
    fn a_robot_is_a_resource_with_the_metrics_of_the_table() {
        let robots = [1, 2].map(|seed| Keypair::from_seed([seed; 32]).peer_id());
        let (one, two) = (readings(40.0), readings(41.0));
        let row =
            |robot, time, readings| OutgoingRow { robot, name: Some("duckie"), time: Time(time), readings };
        let rows = [
            row(robots[0], 1_700_000_060, &two),
            row(robots[1], 1_700_000_000, &one),
            row(robots[0], 1_700_000_000, &one),
        ];
        let request = Request::decode(encode(&rows).as_slice()).unwrap();
        assert_eq!(request.resources.len(), 2);
        let first = request
            .resources
            .iter()
            .find(|resource| {
                let attributes = &resource.resource.as_ref().unwrap().attributes;
                attributes.contains(&attribute(INSTANCE, &robots[0].to_string()))
                    && attributes.contains(&attribute(HOST, "duckie"))
            })
            .unwrap();
        let metrics = &first.scopes[0].metrics;
        let names: Vec<&str> = metrics.iter().map(|metric| metric.name.as_str()).collect();
        assert_eq!(names, ["hw.temperature", "system.network.io", "custom"]);
        let points = &metrics[0].gauge.as_ref().unwrap().points;
        let values: Vec<(u64, Option<f64>)> =
            points.iter().map(|point| (point.time / NANOS, point.value)).collect();
        assert_eq!(values, [(1_700_000_000, Some(40.0)), (1_700_000_060, Some(41.0))]);
        let sum = metrics[1].sum.as_ref().unwrap();
        assert!(sum.is_monotonic && sum.temporality == CUMULATIVE && metrics[1].gauge.is_none());
        let direction = attribute("network.io.direction", "transmit");
        assert_eq!(sum.points[0].attributes, [direction, attribute("network.interface.name", "wlan0")]);
    }
}
