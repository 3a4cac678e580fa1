//! Summaries of several rows in one.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::geometry::Group;
use crate::metrics::{Series, Summary};
use crate::sample::{Readings, Sample};
use std::collections::BTreeMap;
use std::time::Duration;

/// Returns whether a group of rows is complete, so that the next row belongs to another one.
pub(super) fn is_complete(group: Group, rows: &[Sample], next: &Sample) -> bool {
    let Some(first) = rows.first() else { return false };
    let span = next.stamp.millis.checked_sub(first.stamp.millis).map(Duration::from_millis);
    let is_within = span.is_some_and(|span| span < group.span);
    rows.len() >= group.rows || next.stamp.boot != first.stamp.boot || !is_within
}

/// Returns one row that stands for these rows; `None` if there are none. It has the moment and the number of the last
/// one.
pub(super) fn summarized(rows: &[Sample]) -> Option<Sample> {
    let last = rows.last()?;
    let mut values: BTreeMap<&Series, Vec<f64>> = BTreeMap::new();
    for reading in rows.iter().flat_map(|row| row.readings.iter()) {
        values.entry(&reading.series).or_default().push(reading.value);
    }
    let mut readings = Readings::default();
    for (series, values) in values {
        if let Some(value) = summary(series.metric.summary, &values) {
            readings.put(series.clone(), value);
        }
    }
    Some(Sample { stamp: last.stamp, sequence: last.sequence, readings })
}

fn summary(summary: Summary, values: &[f64]) -> Option<f64> {
    match summary {
        // Each value is divided before the sum, which therefore does not overflow.
        Summary::Mean => Some(values.iter().map(|value| value / values.len() as f64).sum()),
        Summary::Last => values.last().copied(),
        Summary::Greatest => values.iter().copied().reduce(f64::max),
        Summary::Least => values.iter().copied().reduce(f64::min),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{CPU_UTILIZATION, FILESYSTEM_FREE, NETWORK_SENT, TEMPERATURE};
    use crate::sample::{BootId, Stamp};

    fn row(boot: u8, seconds: u64, value: f64) -> Sample {
        let mut readings = Readings::default();
        readings.add(&CPU_UTILIZATION, value);
        for metric in [&TEMPERATURE, &FILESYSTEM_FREE, &NETWORK_SENT] {
            readings.add_for(metric, "x", value);
        }
        let stamp = Stamp { boot: BootId::new([boot; 16]), millis: seconds * 1000 };
        Sample { stamp, sequence: seconds, readings }
    }

    #[test]
    fn each_metric_has_its_own_summary() {
        let mut rows = [5.0, 1.0, 4.0, 2.0, 9.0].map(|value| row(1, 40, value));
        rows[4].readings = Readings::default();
        let summary = summarized(&rows).unwrap();
        assert_eq!((summary.stamp, summary.sequence), (rows[4].stamp, 40));
        let values: Vec<f64> = summary.readings.iter().map(|reading| reading.value).collect();
        assert_eq!(values, [3.0, 5.0, 1.0, 2.0], "mean, greatest, least, last");
        assert_eq!(summarized(&[]), None);
    }

    #[test]
    fn a_group_is_of_one_boot_and_bounded_in_time_and_number() {
        let group = Group { rows: 3, span: Duration::from_secs(60) };
        let rows = [row(1, 10, 0.0), row(1, 20, 0.0)];
        assert!(!is_complete(group, &[], &rows[0]) && !is_complete(group, &rows, &row(1, 69, 0.0)));
        assert!(is_complete(group, &rows, &row(1, 70, 0.0)) && is_complete(group, &rows, &row(2, 30, 0.0)));
        assert!(is_complete(group, &rows, &row(1, 9, 0.0)), "the time went backwards");
        assert!(is_complete(group, &[rows[0].clone(), rows[1].clone(), rows[1].clone()], &rows[1]));
    }
}
