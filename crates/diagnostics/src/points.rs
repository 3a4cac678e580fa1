//! Points of the history of one metric, in parts for a client.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::metrics::{CUSTOM, Series, prometheus_name};
use crate::protocol::{Points, Row, SeriesName, Value};
use crate::ring::timeline::{Anchor, Placed, Timeline};
use crate::ring::{Disk, History, Resolution};
use crate::sample::{Readings, Sample, Stamp};
use dcache::{Moment, Time};
use std::collections::BTreeSet;
use std::io;
use telemetry::MetricKind;

/// Maximum number of values in a part. With 25 characters each, they fit into an answer.
const MAX_VALUES: usize = 16_000;
/// Maximum number of rows that are read for a part. They are on 200 pages.
const MAX_ROWS: usize = 1200;
/// Longest time, in seconds, for which all samples are given. They make 2160 points.
const SAMPLES_FOR: u64 = 6 * 3600;
/// Longest time, in seconds, for which all minutes are given. They make 10,080 points.
const MINUTES_FOR: u64 = 7 * 24 * 3600;
/// Shortest time, in seconds, between two samples that is assumed. It is a little shorter than the real one, because a
/// daemon that starts again takes a sample at once.
const LEAST_BETWEEN_SAMPLES: u64 = 8;
/// Number of samples that are read in addition, for the same reason.
const MORE_SAMPLES: u64 = 16;

/// A question for points.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Name of the metric.
    pub metric: &'a str,
    /// Seconds before now at which the points begin.
    pub seconds: u64,
    /// Number of the last row that was given; `None` for the first part.
    pub after: Option<u64>,
}

/// Returns the resolution for points of the last `seconds`, and the seconds between two of its rows.
pub fn resolution_for(seconds: u64) -> (Resolution, u64) {
    match seconds {
        _ if seconds <= SAMPLES_FOR => (Resolution::Samples, 10),
        _ if seconds <= MINUTES_FOR => (Resolution::Minutes, 60),
        _ => (Resolution::Hours, 3600),
    }
}

/// Returns a part of the points of a metric. `here` is the present moment since the boot, and `now` the time of day.
///
/// # Errors
/// Returns an error if the disk cannot be read.
pub fn points<D: Disk>(
    history: &History<D>,
    question: Question<'_>,
    here: Option<Stamp>,
    now: Moment,
) -> io::Result<Points> {
    let (resolution, step_seconds) = resolution_for(question.seconds);
    let samples = question.seconds / LEAST_BETWEEN_SAMPLES + MORE_SAMPLES;
    let first = history.sequence().saturating_sub(samples);
    let after = question.after.unwrap_or(first).max(first);
    let (rows, mut timeline) = history.placed_rows(resolution, after, MAX_ROWS)?;
    if let Some(stamp) = here {
        // A clock that is wrong still gives the right distances within this boot.
        timeline.add_anchor(Anchor { stamp, time: now.time });
    }
    let is_whole = rows.len() < MAX_ROWS;
    let chosen = Chosen::of(rows.iter().map(|row| &row.readings), question.metric);
    let most = MAX_VALUES / chosen.series.len().max(1);
    let next = match rows.get(most.saturating_sub(1)).filter(|_| rows.len() > most) {
        Some(last) => Some(last.sequence),
        None => rows.last().filter(|_| !is_whole).map(|last| last.sequence),
    };
    let from = Time(now.time.0.saturating_sub(question.seconds));
    let rows = rows.iter().take(most).filter_map(|row| chosen.row(row, &timeline, from)).collect();
    let series = chosen.series.iter().map(series_name).collect();
    Ok(Points { series, rows, step_seconds, next, is_clock_certain: now.is_certain })
}

/// A row of a collector that has its place in time.
#[derive(Clone, Debug, PartialEq)]
pub struct PlacedRow {
    /// Time of the measurement.
    pub time: Time,
    /// Whether the time is exact.
    pub is_exact: bool,
    /// The values of the row.
    pub readings: Readings,
}

/// Maximum number of rows that a collector reads for a part.
pub const MAX_PLACED_ROWS: usize = MAX_ROWS;

/// Returns a part of the points of a metric, from the rows of a collector after a time, at most [`MAX_PLACED_ROWS`]. The
/// number of a row is its time.
pub fn placed_points(rows: &[PlacedRow], metric: &str, is_clock_certain: bool) -> Points {
    let chosen = Chosen::of(rows.iter().map(|row| &row.readings), metric);
    let most = (MAX_VALUES / chosen.series.len().max(1)).min(MAX_ROWS);
    let is_last = rows.len() < MAX_ROWS && rows.len() <= most;
    let mut part = rows.get(..most.min(rows.len())).unwrap_or(rows);
    let last = part.last().map(|row| row.time);
    if !is_last && part.first().map(|row| row.time) != last {
        // Rows with the same time come in one part, since the next one begins after it.
        let cut = part.iter().rposition(|row| Some(row.time) != last).map_or(part.len(), |place| place + 1);
        part = part.get(..cut).unwrap_or(part);
    }
    let next = part.last().filter(|_| !is_last).map(|row| row.time.0);
    let rows = part.iter().filter_map(|row| {
        let (time, is_exact) = (row.time, row.is_exact);
        chosen.values(&row.readings).map(|values| Row { time, is_exact, values })
    });
    let (rows, series) = (rows.collect(), chosen.series.iter().map(series_name).collect());
    Points { series, rows, step_seconds: 60, next, is_clock_certain }
}

/// The series of a metric.
struct Chosen {
    series: Vec<Series>,
}

impl Chosen {
    fn of<'a>(rows: impl Iterator<Item = &'a Readings>, metric: &str) -> Self {
        let all = rows.flat_map(Readings::iter);
        let chosen: BTreeSet<&Series> =
            all.map(|reading| &reading.series).filter(|series| is_of(series, metric)).collect();
        Self { series: chosen.into_iter().cloned().collect() }
    }

    /// Returns the values of a row; `None` if it has none, or if it is before `from` or cannot be placed in time.
    fn row(&self, row: &Sample, timeline: &Timeline, from: Time) -> Option<Row> {
        let (time, is_exact) = match timeline.place(row.stamp) {
            Placed::At(time) => (time, true),
            Placed::Between(Some(time), _) | Placed::Between(None, Some(time)) => (time, false),
            Placed::Between(None, None) => return None,
        };
        self.values(&row.readings).filter(|_| time >= from).map(|values| Row { time, is_exact, values })
    }

    /// Returns a value for each series; `None` if there is none at all.
    fn values(&self, readings: &Readings) -> Option<Vec<Option<f64>>> {
        let values: Vec<Option<f64>> = self.series.iter().map(|series| readings.get(series)).collect();
        values.iter().any(Option::is_some).then_some(values)
    }
}

/// Returns whether a series has this name: the OpenTelemetry name of its metric, the name for Prometheus, or for a value of
/// a program the name that the program gave to it.
fn is_of(series: &Series, name: &str) -> bool {
    if series.metric == &CUSTOM {
        let own = series.label.as_str();
        return own == name || own.split('{').next() == Some(name);
    }
    let metric = &series.metric.metric;
    metric.name == name || prometheus_name(metric) == name
}

/// Returns the present values.
pub fn values(readings: &Readings) -> Vec<Value> {
    let value = |reading: &crate::sample::Reading| Value {
        series: series_name(&reading.series),
        value: reading.value,
    };
    readings.iter().map(value).collect()
}

fn series_name(series: &Series) -> SeriesName {
    let Series { metric, label } = series;
    let (name, label) = match *metric == &CUSTOM {
        true => (label.as_str(), ""),
        false => (metric.metric.name, label.as_str()),
    };
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    SeriesName {
        metric: name.to_owned(),
        attributes: metric.attributes.iter().map(owned).collect(),
        label: label.to_owned(),
        unit: metric.metric.unit.to_owned(),
        is_counter: metric.metric.kind == MetricKind::Counter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{TEMPERATURE, UPTIME};
    use crate::ring::Geometry;
    use crate::sample::BootId;

    const NOW: Time = Time(1_800_000_000);
    const BOOT: BootId = BootId::new([7; 16]);

    /// Writes this number of samples, ten seconds apart, of two temperatures. The last one is from [`NOW`].
    fn history(samples: u64, is_certain: bool) -> (History<Vec<u8>>, Stamp) {
        let (mut history, _) = History::open(Vec::new(), Geometry::ROBOT).unwrap();
        for number in 1..=samples {
            let mut readings = Readings::default();
            readings.add(&UPTIME, number as f64);
            readings.add_for(&TEMPERATURE, "cpu", number as f64);
            readings.add_for(&TEMPERATURE, "gpu", 40.0);
            let stamp = Stamp { boot: BOOT, millis: number * 10_000 };
            let time = Time(NOW.0 - (samples - number) * 10);
            history.add(stamp, readings, is_certain.then_some(time)).unwrap();
        }
        (history, Stamp { boot: BOOT, millis: samples * 10_000 })
    }

    fn all(history: &History<Vec<u8>>, metric: &str, seconds: u64, here: Stamp) -> (Vec<Row>, usize) {
        let (mut rows, mut after, mut parts) = (Vec::new(), None, 0);
        loop {
            let question = Question { metric, seconds, after };
            let part = points(history, question, Some(here), Moment::certain(NOW)).unwrap();
            assert!(serde_json::to_string(&part).unwrap().len() < service::MAX_ANSWER_BYTES);
            rows.extend(part.rows);
            parts += 1;
            after = part.next;
            if after.is_none() {
                return (rows, parts);
            }
        }
    }

    #[test]
    fn the_points_of_the_last_hours_come_in_parts_and_in_order() {
        let (history, here) = history(3000, true);
        let (rows, parts) = all(&history, "hw.temperature", 2 * 3600, here);
        assert_eq!((rows.len(), parts), (721, 1));
        assert_eq!((rows[0].time, rows[720].time), (Time(NOW.0 - 7200), NOW));
        assert_eq!(rows[720].values, [Some(3000.0), Some(40.0)]);
        let (rows, parts) = all(&history, "hw_temperature_celsius", 6 * 3600, here);
        assert!(rows.len() == 2161 && parts > 1 && rows.windows(2).all(|pair| pair[0].time < pair[1].time));
        assert!(all(&history, "hw.voltage", 3600, here).0.is_empty());
    }

    #[test]
    fn a_longer_time_has_fewer_points() {
        let (history, here) = history(6 * 60 * 8, true);
        let (rows, _) = all(&history, "system.uptime", 7 * 3600, here);
        let step = rows[1].time.since(rows[0].time);
        assert!(step == 60 && (415..=421).contains(&rows.len()), "{step} {}", rows.len());
        let (rows, _) = all(&history, "system.uptime", 30 * 24 * 3600, here);
        assert_eq!((rows.len(), rows[1].time.since(rows[0].time)), (7, 3600));
    }

    #[test]
    fn the_rows_of_a_collector_come_in_parts_without_loss_or_repetition() {
        let row = |number: u64| {
            let mut readings = Readings::default();
            (0..40).for_each(|thing| readings.add_for(&TEMPERATURE, &thing.to_string(), number as f64));
            // Two rows have the same time.
            PlacedRow { time: Time(NOW.0 + number / 2), is_exact: true, readings }
        };
        let all: Vec<PlacedRow> = (0..3000).map(row).collect();
        let (mut got, mut after) = (Vec::new(), None);
        loop {
            let left = all.iter().filter(|row| after.is_none_or(|after| row.time.0 > after));
            let read: Vec<PlacedRow> = left.take(MAX_PLACED_ROWS).cloned().collect();
            let part = placed_points(&read, "hw.temperature", true);
            assert!(serde_json::to_string(&part).unwrap().len() < service::MAX_ANSWER_BYTES);
            got.extend(part.rows.iter().filter_map(|row| row.values[0]));
            after = part.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(got, (0..3000).map(f64::from).collect::<Vec<_>>());
    }

    #[test]
    fn points_of_this_boot_are_placed_although_the_clock_is_wrong() {
        let (history, here) = history(30, false);
        let uncertain = Moment { is_certain: false, ..Moment::certain(NOW) };
        let question = Question { metric: "system.uptime", seconds: 100, after: None };
        let part = points(&history, question, Some(here), uncertain).unwrap();
        assert_eq!((part.rows.len(), part.is_clock_certain), (11, false));
        assert_eq!(part.rows[10].time, NOW);
        let part = points(&history, question, None, uncertain).unwrap();
        assert!(part.rows.is_empty(), "nothing tells when these rows were");
    }
}
