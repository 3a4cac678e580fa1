//! The health of a robot, as ROS diagnostics has it: OK, WARN, ERROR or STALE, each with a sentence and a way out.
//!
//! A [`Rule`] compares the readings of one metric with limits. The rules are in one table ([`rules`]), which the
//! configuration changes and extends ([`settings`]). A level is raised only after its limit was exceeded for a while.
//! It is cleared only after the value was on the good side of a second limit for a while. So a value near a limit does
//! not change the level again and again ([`hysteresis`]).
//!
//! The time is that since the boot, so that setting the clock has no effect.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod faults;
pub mod hysteresis;
mod level;
pub mod rules;
pub mod settings;
#[cfg(test)]
mod tests;
mod text;

use crate::metrics::Label;
use crate::sample::{MAX_READINGS, Reading, Readings};
use hysteresis::{Hysteresis, Position};
pub use level::Level;
use rules::Rule;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;
pub use text::shown;

/// Time without a value after which a series is STALE. Values come every few seconds.
pub const STALE_AFTER: Duration = Duration::from_secs(30);
/// Time without a value after which a series is forgotten: its part of the robot was removed on purpose.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Maximum number of findings in a report. The worst ones are kept.
pub const MAX_FINDINGS: usize = 16;

/// Something that is not OK.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Code of the rule, such as `temperature.high`.
    pub code: String,
    /// How bad it is.
    pub level: Level,
    /// The thing that was measured; empty if there is only one.
    pub label: String,
    /// Last value, in the unit of the metric.
    pub value: f64,
    /// One sentence for people.
    pub sentence: String,
    /// Remedy for people.
    pub way_out: String,
}

/// The health of a robot.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The worst level of all findings; OK if there are none.
    pub level: Level,
    /// Findings that are not OK, the worst first.
    pub findings: Vec<Finding>,
}

/// Judges the readings of a robot by rules.
#[derive(Clone, Debug, Default)]
pub struct Health {
    rules: Vec<(Rule, JudgedSeries)>,
}

/// The series that a rule judges. There are at most [`MAX_READINGS`], also when a local program invents names.
type JudgedSeries = BTreeMap<Label, Judged>;

/// State of one rule about one series.
#[derive(Clone, Debug)]
struct Judged {
    warn: Hysteresis,
    error: Hysteresis,
    value: f64,
    /// Time of the last value.
    seen: Duration,
}

impl Health {
    /// Creates a judge with these rules. At first everything is OK.
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules: rules.into_iter().map(|rule| (rule, JudgedSeries::new())).collect() }
    }

    /// Judges the readings at `now`, the time since the boot.
    pub fn judge(&mut self, now: Duration, readings: &Readings) -> Report {
        for (rule, judged) in &mut self.rules {
            // After a boot, the time begins anew.
            judged.retain(|_, judged| judged.seen <= now && now - judged.seen < FORGOTTEN_AFTER);
            apply(rule, judged, now, readings);
        }
        let all =
            self.rules.iter().flat_map(|(rule, judged)| judged.iter().map(move |judged| (rule, judged)));
        let found = all.filter_map(|(rule, (label, judged))| judged.finding(rule, label, now));
        let mut findings: Vec<Finding> = found.collect();
        findings.sort_by(|one, other| one.order().cmp(&other.order()));
        findings.truncate(MAX_FINDINGS);
        let level = findings.first().map_or(Level::Ok, |worst| worst.level);
        Report { level, findings }
    }
}

/// Applies a rule to the readings of its metric.
fn apply(rule: &Rule, judged: &mut JudgedSeries, now: Duration, readings: &Readings) {
    for Reading { series, value } in
        readings.of(rule.metric).filter(|reading| rule.concerns(&reading.series.label))
    {
        if judged.len() >= MAX_READINGS && !judged.contains_key(&series.label) {
            // A sample has no more readings than this, so there is room then.
            judged.retain(|_, judged| judged.seen == now);
        }
        judged.entry(series.label.clone()).or_insert_with(|| Judged::new(now)).step(rule, *value, now);
    }
}

impl Judged {
    fn new(now: Duration) -> Self {
        Self { warn: Hysteresis::default(), error: Hysteresis::default(), value: 0.0, seen: now }
    }

    fn step(&mut self, rule: &Rule, value: f64, now: Duration) {
        for (state, limit) in [(&mut self.warn, rule.warn), (&mut self.error, rule.error)] {
            let position = limit.map_or(Position::Back, |limit| rule.position(limit, value));
            state.step(position, now, rule.times());
        }
        (self.value, self.seen) = (value, now);
    }

    fn finding(&self, rule: &Rule, label: &Label, now: Duration) -> Option<Finding> {
        let silent = now.saturating_sub(self.seen);
        let level = match (self.error.is_on(), self.warn.is_on()) {
            _ if silent >= STALE_AFTER => Level::Stale,
            (true, _) => Level::Error,
            (_, true) => Level::Warn,
            _ => return None,
        };
        Some(rule.finding(level, label.as_str(), self.value))
    }
}

impl Finding {
    /// Returns the key by which findings are sorted: the worst first.
    fn order(&self) -> impl Ord + use<'_> {
        (Reverse(self.level), &self.code, &self.label)
    }
}
