//! Changes of the table of rules by the configuration.
//!
//! ```toml
//! [diagnostics.rules."temperature.high"]   # changes a rule of the table
//! warn = 70.0
//!
//! [diagnostics.rules."camera.slow"]        # adds a rule
//! metric = "custom"
//! label = "camera_hz"
//! side = "below"
//! error = 10.0
//! sentence = "the camera gives only {value} images per second"
//! way_out = "restart the container of the camera"
//! ```
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::rules::{Rule, Side, Texts, table};
use crate::metrics::{HostMetric, Label, by_name};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// Maximum number of rules that the configuration adds.
pub const MAX_RULES: usize = 64;
/// Maximum size of a code in bytes.
pub const MAX_CODE_BYTES: usize = 48;
/// Maximum size of a sentence or a remedy in bytes. Others read them in a record.
pub const MAX_TEXT_BYTES: usize = 160;
/// Maximum time before a level changes, in seconds.
const MAX_WAIT_SECONDS: u64 = 24 * 3600;

/// A rule in the configuration. Keys that are left out keep their values if the code is that of a rule of the table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleSettings {
    /// Whether the rule is left out.
    pub off: Option<bool>,
    /// OpenTelemetry name of the metric, such as `hw.temperature`; `custom` for the values of local programs.
    pub metric: Option<String>,
    /// Attributes that choose one of several metrics of this name, such as `"robot.period" = "now"`.
    pub attributes: BTreeMap<String, String>,
    /// The only thing that is judged, such as `wlan0`. By default all things of the metric are judged.
    pub label: Option<String>,
    /// Whether values `above` or `below` the limits are bad.
    pub side: Option<Side>,
    /// Limit of the level WARN, in the unit of the metric.
    pub warn: Option<f64>,
    /// Limit of the level ERROR, in the unit of the metric.
    pub error: Option<f64>,
    /// Distance from a limit, on its good side, at which the level is cleared. Default: 0.
    pub margin: Option<f64>,
    /// Seconds for which a limit must be exceeded. Default: 0.
    pub raise_seconds: Option<u64>,
    /// Seconds for which a value must be good again. Default: 10.
    pub clear_seconds: Option<u64>,
    /// Description for people. The placeholders are `{label}`, `{value}` and `{limit}`.
    pub sentence: Option<String>,
    /// Remedy for people, with the same placeholders.
    pub way_out: Option<String>,
}

/// Error in a rule of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule `{code}` is wrong: {reason}")]
pub struct RuleError {
    /// Code of the rule.
    pub code: String,
    /// The mistake in it.
    pub reason: RuleErrorReason,
}

/// Mistake in a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleErrorReason {
    /// The code has other characters, or is too long.
    #[error("its code must have 1 to {MAX_CODE_BYTES} of the characters a-z, 0-9, `.` and `-`")]
    Code,
    /// A key of a new rule is missing.
    #[error("`{0}` is missing, which a rule needs that is not in the table")]
    Missing(&'static str),
    /// There is no metric of this name with these attributes.
    #[error("there is no metric `{0}` with these attributes")]
    Metric(String),
    /// Several metrics have this name and these attributes.
    #[error("several metrics are called `{name}`: add {attributes} to `attributes`")]
    Ambiguous {
        /// Name that they have.
        name: String,
        /// Attributes by which the metrics differ.
        attributes: String,
    },
    /// A number is not finite, or the margin is negative.
    #[error("`{0}` must be a finite number, and `margin` not negative")]
    Number(&'static str),
    /// The limit of ERROR is on the good side of that of WARN.
    #[error("`error` must be at least as bad as `warn`")]
    Order,
    /// A time is too long.
    #[error("`{0}` must be at most {MAX_WAIT_SECONDS}")]
    Wait(&'static str),
    /// A text is too long, or has control characters.
    #[error("`{0}` must have at most {MAX_TEXT_BYTES} bytes and no control characters")]
    Text(&'static str),
    /// There are too many rules.
    #[error("at most {MAX_RULES} rules can be added")]
    TooMany,
}

use RuleErrorReason as Reason;

/// Returns the table of rules with the changes of the configuration.
///
/// # Errors
/// Returns an error if a rule is incomplete or wrong.
pub fn rules(settings: &BTreeMap<String, RuleSettings>) -> Result<Vec<Rule>, RuleError> {
    let mut rules = table();
    let known = rules.len();
    for (code, change) in settings {
        let error = |reason| RuleError { code: code.clone(), reason };
        let place = rules.iter().position(|rule| rule.texts.code == *code);
        let former = place.map(|place| rules.remove(place));
        if change.off == Some(true) {
            continue;
        }
        rules.push(change.applied_to(former, code).map_err(error)?);
        if rules.len() > known + MAX_RULES {
            return Err(error(Reason::TooMany));
        }
    }
    Ok(rules)
}

impl RuleSettings {
    /// Returns the rule with these changes; `former` is the rule of the table with this code.
    fn applied_to(&self, former: Option<Rule>, code: &str) -> Result<Rule, Reason> {
        let mut rule = match former {
            Some(rule) => rule,
            None => self.new_rule(code)?,
        };
        if self.metric.is_some() {
            rule.metric = self.find_metric()?;
        }
        if let Some(label) = &self.label {
            rule.label = Some(Label::exact(label).ok_or(Reason::Text("label"))?);
        }
        rule.side = self.side.unwrap_or(rule.side);
        rule.warn = self.warn.or(rule.warn);
        rule.error = self.error.or(rule.error);
        rule.margin = self.margin.unwrap_or(rule.margin);
        rule.raise = self.raise_seconds.map_or(rule.raise, Duration::from_secs);
        rule.clear = self.clear_seconds.map_or(rule.clear, Duration::from_secs);
        for (own, text) in
            [(&mut rule.texts.sentence, &self.sentence), (&mut rule.texts.way_out, &self.way_out)]
        {
            if let Some(text) = text {
                *own = Cow::Owned(text.clone());
            }
        }
        check(&rule)?;
        Ok(rule)
    }

    /// Returns a rule of the configuration with the values that cannot be left out.
    fn new_rule(&self, code: &str) -> Result<Rule, Reason> {
        let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
        if !(1..=MAX_CODE_BYTES).contains(&code.len()) || !code.bytes().all(is_good) {
            return Err(Reason::Code);
        }
        if self.warn.is_none() && self.error.is_none() {
            return Err(Reason::Missing("error"));
        }
        let text = |text: &Option<String>, key| text.clone().map(Cow::Owned).ok_or(Reason::Missing(key));
        Ok(Rule {
            texts: Texts {
                code: Cow::Owned(code.to_owned()),
                sentence: text(&self.sentence, "sentence")?,
                way_out: text(&self.way_out, "way_out")?,
            },
            metric: self.find_metric()?,
            label: None,
            side: self.side.ok_or(Reason::Missing("side"))?,
            warn: self.warn,
            error: self.error,
            margin: 0.0,
            raise: Duration::ZERO,
            clear: Duration::from_secs(10),
        })
    }

    fn find_metric(&self) -> Result<&'static HostMetric, Reason> {
        let name = self.metric.as_deref().ok_or(Reason::Missing("metric"))?;
        let has = |row: &HostMetric, (key, value): (&String, &String)| {
            row.attributes.iter().any(|(own, held)| own == key && held == value)
        };
        let is_meant = |row: &&HostMetric| self.attributes.iter().all(|attribute| has(row, attribute));
        let rows: Vec<&'static HostMetric> = by_name(name).filter(is_meant).collect();
        match rows.as_slice() {
            [] => Err(Reason::Metric(name.to_owned())),
            [row] => Ok(row),
            rows => Err(Reason::Ambiguous { name: name.to_owned(), attributes: differences(rows) }),
        }
    }
}

/// Returns the attributes of rows, for an error message.
fn differences(rows: &[&HostMetric]) -> String {
    let attributes = rows.iter().flat_map(|row| row.attributes);
    let texts: Vec<String> = attributes.map(|(key, value)| format!("`\"{key}\" = \"{value}\"`")).collect();
    texts.join(" or ")
}

fn check(rule: &Rule) -> Result<(), Reason> {
    for (key, number) in [("warn", rule.warn), ("error", rule.error), ("margin", Some(rule.margin))] {
        if number.is_some_and(|number| !number.is_finite()) {
            return Err(Reason::Number(key));
        }
    }
    if rule.margin < 0.0 {
        return Err(Reason::Number("margin"));
    }
    let is_worse = |warn: f64, error: f64| match rule.side {
        Side::Above => error >= warn,
        Side::Below => error <= warn,
    };
    if rule.warn.zip(rule.error).is_some_and(|(warn, error)| !is_worse(warn, error)) {
        return Err(Reason::Order);
    }
    for (key, wait) in [("raise_seconds", rule.raise), ("clear_seconds", rule.clear)] {
        if wait.as_secs() > MAX_WAIT_SECONDS {
            return Err(Reason::Wait(key));
        }
    }
    for (key, text) in [("sentence", &rule.texts.sentence), ("way_out", &rule.texts.way_out)] {
        let is_own = matches!(text, Cow::Owned(_));
        if is_own && (text.len() > MAX_TEXT_BYTES || text.chars().any(telemetry::is_dangerous)) {
            return Err(Reason::Text(key));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{CUSTOM, UNDER_VOLTAGE_SINCE_BOOT};

    /// Reads rules as they are in the section `[diagnostics]`.
    fn read(text: &str) -> Result<Vec<Rule>, String> {
        let settings: BTreeMap<String, RuleSettings> =
            toml::from_str(text).map_err(|error| error.to_string())?;
        rules(&settings).map_err(|error| error.to_string())
    }

    fn find<'a>(rules: &'a [Rule], code: &str) -> Option<&'a Rule> {
        rules.iter().find(|rule| rule.texts.code == code)
    }

    const CAMERA: &str = "['camera.slow']\nmetric = 'custom'\nlabel = 'camera_hz'\nside = 'below'\nerror = 10.0\n\
        sentence = 'only {value} images'\nway_out = 'restart it'\n";

    #[test]
    fn without_settings_the_table_applies() {
        assert_eq!(read(""), Ok(table()));
    }

    #[test]
    fn a_rule_is_changed_added_and_left_out() {
        let text = format!("['temperature.high']\nwarn = 70.0\n['wifi.weak']\noff = true\n{CAMERA}");
        let rules = read(&text).unwrap();
        let hot = find(&rules, "temperature.high").unwrap();
        assert_eq!((hot.warn, hot.error, hot.margin), (Some(70.0), Some(90.0), 5.0));
        assert_eq!((find(&rules, "wifi.weak"), rules.len()), (None, table().len()));
        let camera = find(&rules, "camera.slow").unwrap();
        assert_eq!((camera.metric, camera.label.as_ref().map(Label::as_str)), (&CUSTOM, Some("camera_hz")));
        assert_eq!((camera.warn, camera.error, camera.side), (None, Some(10.0), Side::Below));
    }

    #[test]
    fn attributes_choose_one_of_several_metrics() {
        let rule = "['x']\nmetric = 'robot.board.under_voltage'\nside = 'above'\nwarn = 1.0\nsentence = 'a'\nway_out = 'b'\n";
        let error = read(rule).unwrap_err();
        assert!(error.contains(r#"`"robot.period" = "now"` or `"robot.period" = "boot"`"#), "{error}");
        let rules = read(&format!("{rule}attributes = {{ 'robot.period' = 'boot' }}\n")).unwrap();
        assert_eq!(find(&rules, "x").unwrap().metric, &UNDER_VOLTAGE_SINCE_BOOT);
    }

    #[test]
    fn a_wrong_rule_is_an_error_that_names_it() {
        for (text, expected) in [
            ("[x]\nwran = 1.0", "unknown field `wran`"),
            ("[x]\noff = false", "`error` is missing"),
            ("[x]\nwarn = 1.0\nsentence = 'a'\nway_out = 'b'", "`metric` is missing"),
            (&*CAMERA.replace("custom", "costum"), "there is no metric `costum`"),
            (&*CAMERA.replace("side = 'below'\n", ""), "`side` is missing"),
            (&*CAMERA.replace("camera.slow", "Camera slow"), "its code must have"),
            (&*CAMERA.replace("10.0", "nan"), "`error` must be a finite number"),
            (&*CAMERA.replace("error = 10.0", "error = 10.0\nwarn = 5.0"), "at least as bad"),
            (&*CAMERA.replace("error = 10.0", "error = 10.0\nmargin = -1.0"), "`margin` must be"),
            (
                &*CAMERA.replace("error = 10.0", "error = 1.0\nraise_seconds = 86401"),
                "`raise_seconds` must be at most",
            ),
            (&*CAMERA.replace("restart it", &"x".repeat(161)), "`way_out` must have"),
            ("['temperature.high']\nwarn = 95.0", "the rule `temperature.high` is wrong"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn the_number_of_rules_is_bounded() {
        let many = |number| {
            (0..number).map(|code| CAMERA.replace("camera.slow", &format!("c{code}"))).collect::<String>()
        };
        assert!(read(&many(MAX_RULES)).is_ok());
        assert!(read(&many(MAX_RULES + 1)).unwrap_err().contains("at most 64 rules"));
    }
}
