//! The table of rules.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::faults;
use super::hysteresis::{Position, Times};
use super::text::{filled, shown};
use super::{Finding, Level};
use crate::metrics::{
    BATTERY_CHARGE, BOARD_STATUS, CLOCK_CERTAIN, DISK_WEAR, FILESYSTEM_UTILIZATION, HostMetric, LOAD_SHARE,
    Label, MEMORY_UTILIZATION, SWAP_UTILIZATION, TEMPERATURE, THROTTLED, UNDER_VOLTAGE, WIFI_SIGNAL,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::time::Duration;
use telemetry::Fault;

/// The side of a limit on which a value is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Values above the limit are bad.
    Above,
    /// Values below the limit are bad.
    Below,
}

/// A rule: which values of a metric are bad.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Code, sentence and remedy.
    pub texts: Texts,
    /// The metric that is judged.
    pub metric: &'static HostMetric,
    /// The only series that is judged; `None` for all series of the metric.
    pub label: Option<Label>,
    /// The side of the limits on which a value is bad.
    pub side: Side,
    /// Limit of the level WARN.
    pub warn: Option<f64>,
    /// Limit of the level ERROR.
    pub error: Option<f64>,
    /// Distance from a limit, on its good side, at which the level is cleared.
    pub margin: f64,
    /// Time for which a limit must be exceeded.
    pub raise: Duration,
    /// Time for which a value must be good again.
    pub clear: Duration,
}

/// The texts of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Texts {
    /// Identifier, such as `temperature.high`.
    pub code: Cow<'static, str>,
    /// Description, with placeholders such as `{value}`.
    pub sentence: Cow<'static, str>,
    /// Remedy, with placeholders as well.
    pub way_out: Cow<'static, str>,
}

impl Texts {
    /// Returns the texts of a row of the table of faults.
    pub const fn of(fault: &Fault) -> Self {
        let Fault { code, sentence, way_out, .. } = *fault;
        Self { code: Cow::Borrowed(code), sentence: Cow::Borrowed(sentence), way_out: Cow::Borrowed(way_out) }
    }
}

impl Rule {
    /// Returns whether the rule judges the series of its metric with this label.
    pub fn concerns(&self, label: &Label) -> bool {
        self.label.as_ref().is_none_or(|only| only == label)
    }

    /// Returns the times before a level changes.
    pub const fn times(&self) -> Times {
        Times { raise: self.raise, clear: self.clear }
    }

    /// Returns the position of a value in relation to a limit.
    pub fn position(&self, limit: f64, value: f64) -> Position {
        let excess = match self.side {
            Side::Above => value - limit,
            Side::Below => limit - value,
        };
        match excess {
            excess if excess >= 0.0 => Position::Beyond,
            excess if excess > -self.margin => Position::Between,
            _ => Position::Back,
        }
    }

    /// Returns the finding about a series at this level. At STALE its texts are those of [`faults::VALUE_MISSING`].
    pub fn finding(&self, level: Level, label: &str, value: f64) -> Finding {
        let texts = &self.texts;
        let unit = self.metric.metric.unit;
        let limit = if level == Level::Error { self.error } else { self.warn.or(self.error) };
        let limit = limit.map(|limit| shown(limit, unit)).unwrap_or_default();
        let (sentence, way_out, shown) = match level {
            Level::Stale => (
                faults::VALUE_MISSING.sentence,
                faults::VALUE_MISSING.way_out,
                self.metric.metric.name.to_owned(),
            ),
            _ => (&*texts.sentence, &*texts.way_out, shown(value, unit)),
        };
        Finding {
            code: texts.code.clone().into_owned(),
            level,
            label: label.to_owned(),
            value,
            sentence: filled(sentence, label, &shown, &limit),
            way_out: filled(way_out, label, &shown, &limit),
        }
    }
}

/// Returns the rule with this code in [`table`].
pub fn by_code(code: &str) -> Option<Rule> {
    table().into_iter().find(|rule| rule.texts.code == code)
}

/// Makes a list of rules. A row has these columns: fault; metric; side; limits of WARN and ERROR; margin of both;
/// seconds before the level is raised, and before it is cleared.
macro_rules! rules {
    ($($fault:ident $metric:ident $side:ident [$warn:expr, $error:expr] $margin:literal, $raise:literal, $clear:literal;)*) => {
        /// Returns the rules of every robot.
        pub fn table() -> Vec<Rule> {
            vec![$(Rule {
                texts: Texts::of(&faults::$fault),
                metric: &$metric,
                label: None,
                side: Side::$side,
                warn: $warn,
                error: $error,
                margin: $margin,
                raise: Duration::from_secs($raise),
                clear: Duration::from_secs($clear),
            }),*]
        }
    };
}

// Faults that end a robot within minutes are raised at once. Loads that programs cause for moments are raised after a
// while.
rules! {
    BATTERY_LOW BATTERY_CHARGE Below [Some(0.2), Some(0.1)] 0.05, 0, 10;
    BOARD_THROTTLED THROTTLED Above [Some(1.0), None] 0.5, 0, 30;
    BOARD_UNDER_VOLTAGE UNDER_VOLTAGE Above [None, Some(1.0)] 0.5, 0, 30;
    BOARD_UNHEALTHY BOARD_STATUS Above [None, Some(2.0)] 0.5, 10, 10;
    CLOCK_UNCERTAIN CLOCK_CERTAIN Below [Some(0.5), None] 0.4, 120, 0;
    CPU_OVERLOADED LOAD_SHARE Above [Some(2.0), Some(4.0)] 0.5, 60, 60;
    DISK_WORN DISK_WEAR Above [Some(0.9), Some(1.1)] 0.05, 0, 0;
    FILESYSTEM_FULL FILESYSTEM_UTILIZATION Above [Some(0.9), Some(0.97)] 0.01, 0, 10;
    MEMORY_SCARCE MEMORY_UTILIZATION Above [Some(0.9), Some(0.95)] 0.03, 30, 30;
    SWAP_FULL SWAP_UTILIZATION Above [Some(0.8), None] 0.1, 60, 60;
    TEMPERATURE_HIGH TEMPERATURE Above [Some(80.0), Some(90.0)] 5.0, 0, 10;
    WIFI_WEAK WIFI_SIGNAL Below [Some(-78.0), None] 4.0, 60, 60;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_fault_has_a_rule_and_the_codes_of_rules_are_unique() {
        let codes: BTreeSet<_> = table().into_iter().map(|rule| rule.texts.code).collect();
        assert_eq!(codes.len(), table().len());
        let others = faults::ALL.iter().filter(|fault| !codes.contains(fault.code)).map(|fault| fault.code);
        assert_eq!(others.collect::<Vec<_>>(), ["value.missing"]);
        assert!(by_code("battery.low").is_some() && by_code("value.missing").is_none());
    }

    #[test]
    fn the_codes_differ_from_those_of_the_daemon() {
        let is_known = |code: &str| telemetry::faults::ALL.iter().any(|fault| fault.code == code);
        assert!(!faults::ALL.iter().any(|fault| is_known(fault.code)));
    }

    #[test]
    fn the_limits_of_a_rule_are_in_order_and_its_margin_is_positive() {
        for rule in table() {
            assert!(
                rule.margin > 0.0 && (rule.warn.is_some() || rule.error.is_some()),
                "{}",
                rule.texts.code
            );
            if let Some((warn, error)) = rule.warn.zip(rule.error) {
                assert_eq!(rule.position(warn, error), Position::Beyond, "{}", rule.texts.code);
            }
        }
    }

    #[test]
    fn a_limit_is_exceeded_where_it_is_reached() {
        let battery = by_code("battery.low").unwrap();
        let positions = [0.1, 0.2, 0.21, 0.24, 0.26].map(|value| battery.position(0.2, value));
        let [beyond, between, back] = [Position::Beyond, Position::Between, Position::Back];
        assert_eq!(positions, [beyond, beyond, between, between, back]);
    }

    #[test]
    fn findings_have_sentences_without_placeholders() {
        for rule in table() {
            for level in [Level::Warn, Level::Stale, Level::Error] {
                let finding = rule.finding(level, "eth0", 0.5);
                assert!(!finding.sentence.contains('{') && !finding.way_out.contains('{'), "{finding:?}");
            }
        }
        let hot = by_code("temperature.high").unwrap().finding(Level::Error, "cpu-thermal", 92.34);
        assert_eq!(hot.sentence, "cpu-thermal is 92.3 °C hot; the limit is 90.0 °C");
    }
}
