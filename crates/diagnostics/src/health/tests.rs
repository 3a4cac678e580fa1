use super::rules::{Side, table};
use super::*;
use crate::metrics::{CUSTOM, FILESYSTEM_UTILIZATION, HostMetric, TEMPERATURE};
use proptest::prelude::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn readings(values: &[(&'static HostMetric, &str, f64)]) -> Readings {
    let mut readings = Readings::default();
    for (metric, label, value) in values {
        readings.add_for(metric, label, *value);
    }
    readings
}

fn codes(report: &Report) -> Vec<(&str, &str, Level)> {
    report.findings.iter().map(|found| (found.code.as_str(), found.label.as_str(), found.level)).collect()
}

#[test]
fn a_full_disk_is_found_at_once_and_cleared_after_a_while() {
    let mut health = Health::new(table());
    let mut judge =
        |seconds, share| health.judge(at(seconds), &readings(&[(&FILESYSTEM_UTILIZATION, "/data", share)]));
    assert_eq!(judge(0, 0.5), Report::default());
    let full = judge(2, 0.98);
    assert_eq!(codes(&full), [("filesystem.full", "/data", Level::Error)]);
    assert_eq!(
        (full.level, full.findings[0].sentence.as_str()),
        (Level::Error, "the file system of /data is 98 % full")
    );
    assert_eq!(judge(4, 0.965).level, Level::Error, "between the limits");
    assert_eq!(judge(6, 0.93).level, Level::Error);
    assert_eq!(judge(16, 0.93).level, Level::Warn, "no longer an error, and still too full");
    assert_eq!(judge(18, 0.5).level, Level::Warn);
    assert_eq!(judge(28, 0.5), Report::default());
}

#[test]
fn the_worst_finding_comes_first() {
    let mut health = Health::new(table());
    let report = health.judge(
        at(1),
        &readings(&[
            (&FILESYSTEM_UTILIZATION, "/", 0.95),
            (&TEMPERATURE, "b", 99.0),
            (&TEMPERATURE, "a", 85.0),
        ]),
    );
    let expected = [
        ("temperature.high", "b", Level::Error),
        ("filesystem.full", "/", Level::Warn),
        ("temperature.high", "a", Level::Warn),
    ];
    assert_eq!((codes(&report).as_slice(), report.level), (&expected[..], Level::Error));
}

#[test]
fn a_value_that_no_longer_comes_is_stale_and_later_forgotten() {
    let mut health = Health::new(table());
    health.judge(at(0), &readings(&[(&TEMPERATURE, "cpu", 99.0)]));
    let none = Readings::default();
    assert_eq!(health.judge(at(29), &none).level, Level::Error);
    let stale = health.judge(at(30), &none);
    assert_eq!(codes(&stale), [("temperature.high", "cpu", Level::Stale)]);
    assert_eq!(stale.findings[0].sentence, "there are no more values of hw.temperature (cpu)");
    assert_eq!(health.judge(at(600), &none), Report::default());
}

#[test]
fn after_a_boot_the_judgement_begins_anew() {
    let mut health = Health::new(table());
    health.judge(at(9000), &readings(&[(&TEMPERATURE, "cpu", 99.0)]));
    assert_eq!(health.judge(at(1), &Readings::default()), Report::default());
}

#[test]
fn invented_names_do_not_use_up_the_memory_or_hide_others() {
    let rule = Rule { metric: &CUSTOM, side: Side::Above, warn: Some(0.0), ..table().remove(0) };
    let mut health = Health::new(vec![rule, rules::by_code("temperature.high").unwrap()]);
    for second in 0..100 {
        let mut readings = readings(&[(&TEMPERATURE, "cpu", 99.0)]);
        for number in 0..60 {
            readings.add_for(&CUSTOM, &format!("{second}-{number}"), -1.0);
        }
        let report = health.judge(at(second), &readings);
        assert_eq!(codes(&report), [("temperature.high", "cpu", Level::Error)]);
        assert!(health.rules.iter().all(|(_, judged)| judged.len() <= MAX_READINGS));
    }
    let many: Vec<(&'static HostMetric, String, f64)> =
        (0..100).map(|n| (&CUSTOM, n.to_string(), 1.0)).collect();
    let many: Vec<_> = many.iter().map(|(metric, label, value)| (*metric, label.as_str(), *value)).collect();
    let mut health =
        Health::new(vec![Rule { metric: &CUSTOM, side: Side::Above, warn: Some(0.0), ..table().remove(0) }]);
    assert_eq!(health.judge(at(0), &readings(&many)).findings.len(), MAX_FINDINGS);
}

/// Generates values of a temperature near its limits, every two seconds. Values repeat, so that levels do change.
fn any_values() -> impl Strategy<Value = Vec<f64>> {
    proptest::collection::vec((60.0..100.0_f64, 1..8_usize), 1..60)
        .prop_map(|runs| runs.into_iter().flat_map(|(value, times)| vec![value; times]).collect())
}

/// Returns the levels of a temperature with these values, and of the last value for a minute after them.
fn levels(values: &[f64]) -> Vec<Level> {
    let mut health = Health::new(table());
    let last = values.last().copied().unwrap_or_default();
    let values = values.iter().copied().chain(std::iter::repeat_n(last, 30));
    let judged = values.zip(0..).map(|(value, number)| {
        health.judge(at(number * 2), &readings(&[(&TEMPERATURE, "cpu", value)])).level
    });
    judged.collect()
}

proptest! {
    #[test]
    fn no_wrong_level_stays(values in any_values()) {
        let (last, levels) = (values[values.len() - 1], levels(&values));
        let level = levels[levels.len() - 1];
        let allowed: &[Level] = match last {
            last if last >= 90.0 => &[Level::Error],
            last if last > 85.0 => &[Level::Error, Level::Warn],
            last if last >= 80.0 => &[Level::Warn],
            last if last > 75.0 => &[Level::Warn, Level::Ok],
            _ => &[Level::Ok],
        };
        prop_assert!(allowed.contains(&level), "{level} at {last} °C");
    }

    /// A level is raised at once, and cleared after ten seconds. So it is raised again at most once in ten seconds.
    #[test]
    fn a_level_does_not_flap(values in any_values()) {
        let levels = levels(&values);
        for first in 0..levels.len() {
            let window = &levels[first..levels.len().min(first + 6)];
            for level in [Level::Warn, Level::Error] {
                let raised = window.windows(2).filter(|pair| pair[0] < level && pair[1] >= level).count();
                prop_assert!(raised <= 1, "{window:?}");
            }
        }
    }

    #[test]
    fn values_between_the_limits_change_nothing(values in proptest::collection::vec(75.1..79.9_f64, 1..60), hot in any::<bool>()) {
        let all: Vec<f64> = std::iter::once(if hot { 81.0 } else { 70.0 }).chain(values).collect();
        let levels = levels(&all);
        prop_assert!(levels.iter().all(|level| *level == levels[0]));
    }
}
