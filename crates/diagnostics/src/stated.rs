//! The health of a robot in one item of the bucket `pri/ID/health`.
//!
//! The text form is compact JSON, such as `{"level":"error","findings":[{"code":"filesystem.full","level":"error",
//! "label":"/data","value":0.98}]}`. A robot without findings states `{"level":"ok"}`. It has no time and no value that
//! changes by itself. So an unchanged health is the same item, whose renewal is one record.
//!
//! The sentences of the rules of every robot are not part of it: a reader has the same table. A rule of the robot's
//! configuration sends its sentence.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::health::rules::by_code;
use crate::health::settings::{MAX_CODE_BYTES, MAX_TEXT_BYTES};
use crate::health::{Finding, Level, Report};
use crate::metrics::Label;
use dcache::{Data, DataError, buckets};
use serde::{Deserialize, Serialize};

/// Maximum number of findings in an item. The worst ones are stated.
pub const MAX_STATED: usize = 4;

/// The health that a robot states.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatedHealth {
    /// The worst level.
    pub level: Level,
    /// Findings that are not OK, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<StatedFinding>,
    /// Number of findings that are not listed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u32,
}

/// A finding that a robot states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatedFinding {
    /// Code of the rule.
    pub code: String,
    /// How bad it is.
    pub level: Level,
    /// The thing that was measured.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// Value when it was stated first, in the unit of the rule's metric.
    pub value: f64,
    /// Sentence of a rule that is not in the table of every robot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentence: Option<String>,
    /// Remedy of a rule that is not in the table of every robot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub way_out: Option<String>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl StatedHealth {
    /// Returns what to state of a report. Findings that have no room are counted.
    pub fn of(report: &Report) -> Self {
        let mut stated = Self {
            level: report.level,
            findings: report.findings.iter().take(MAX_STATED).map(StatedFinding::of).collect(),
            more: u32::try_from(report.findings.len().saturating_sub(MAX_STATED)).unwrap_or(u32::MAX),
        };
        while stated.text().len() > buckets::HEALTH.family().max_data && stated.findings.pop().is_some() {
            stated.more = stated.more.saturating_add(1);
        }
        stated
    }

    /// Returns whether people would see the same level, the same findings and the same things. Values do not count.
    pub fn is_same(&self, other: &Self) -> bool {
        let known = |stated: &Self| -> Vec<(String, Level, String)> {
            let findings = stated.findings.iter();
            findings.map(|found| (found.code.clone(), found.level, found.label.clone())).collect()
        };
        (self.level, self.more, known(self)) == (other.level, other.more, known(other))
    }

    /// Returns the text form.
    ///
    /// # Errors
    /// When the text form is too long for an item. This does not happen to the health of a report.
    pub fn to_data(&self) -> Result<Data, DataError> {
        Data::new(&self.text())
    }

    /// Reads a text form; `None` for other texts. Unknown keys are ignored. Texts are cut, and made harmless.
    pub fn from_data(data: &Data) -> Option<Self> {
        let mut stated: Self = serde_json::from_str(data.as_str()).ok()?;
        stated.findings.truncate(MAX_STATED);
        for finding in &mut stated.findings {
            finding.label = Label::new(&finding.label).as_str().to_owned();
            finding.code = telemetry::clean(&finding.code, MAX_CODE_BYTES);
            for text in [&mut finding.sentence, &mut finding.way_out].into_iter().flatten() {
                *text = telemetry::clean(text, MAX_TEXT_BYTES);
            }
        }
        Some(stated)
    }

    /// Returns the findings with their sentences. A rule that this version does not know, and whose sentence is not
    /// stated, is shown by its code.
    pub fn findings(&self) -> Vec<Finding> {
        self.findings.iter().map(StatedFinding::finding).collect()
    }

    fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl StatedFinding {
    fn of(finding: &Finding) -> Self {
        let Finding { code, level, label, value, sentence, way_out } = finding;
        let is_known = by_code(code).is_some_and(|rule| {
            // The configuration can change the sentence of a rule.
            let common = rule.finding(*level, label, *value);
            (&common.sentence, &common.way_out) == (sentence, way_out)
        });
        let own = |text: &String| (!is_known).then(|| telemetry::clean(text, MAX_TEXT_BYTES));
        Self {
            code: code.clone(),
            level: *level,
            label: label.clone(),
            value: short(*value),
            sentence: own(sentence),
            way_out: own(way_out),
        }
    }

    fn finding(&self) -> Finding {
        let Self { code, level, label, value, .. } = self;
        let common = by_code(code).map(|rule| rule.finding(*level, label, *value));
        let (sentence, way_out) =
            common.map_or_else(|| (code.clone(), String::new()), |common| (common.sentence, common.way_out));
        Finding {
            code: code.clone(),
            level: *level,
            label: label.clone(),
            value: *value,
            sentence: self.sentence.clone().unwrap_or(sentence),
            way_out: self.way_out.clone().unwrap_or(way_out),
        }
    }
}

/// Returns a value with about four significant digits, so that its text is short.
fn short(value: f64) -> f64 {
    let text = format!("{value:.3e}");
    text.parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::rules::table;
    use proptest::prelude::*;

    fn finding(code: &str, level: Level, label: &str, value: f64) -> Finding {
        by_code(code).unwrap().finding(level, label, value)
    }

    fn report(findings: Vec<Finding>) -> Report {
        Report { level: findings.first().map_or(Level::Ok, |worst| worst.level), findings }
    }

    fn own(text: &str) -> Finding {
        Finding {
            code: "camera.slow".to_owned(),
            level: Level::Warn,
            label: String::new(),
            value: 3.0,
            sentence: text.to_owned(),
            way_out: "restart it".to_owned(),
        }
    }

    #[test]
    fn the_text_form_is_short_json() {
        assert_eq!(StatedHealth::of(&Report::default()).text(), r#"{"level":"ok"}"#);
        let full = report(vec![finding("filesystem.full", Level::Error, "/data", 0.98123)]);
        assert_eq!(
            StatedHealth::of(&full).text(),
            r#"{"level":"error","findings":[{"code":"filesystem.full","level":"error","label":"/data","value":0.9812}]}"#
        );
    }

    #[test]
    fn a_reader_sees_the_sentences_of_the_robot() {
        let known = finding("temperature.high", Level::Error, "cpu", 91.5);
        let report = report(vec![known.clone(), own("the camera gives only 3 images")]);
        let data = StatedHealth::of(&report).to_data().unwrap();
        let read = StatedHealth::from_data(&data).unwrap();
        assert_eq!((read.level, read.findings()), (Level::Error, report.findings));
        assert_eq!(read.findings[0].sentence, None, "the reader has the same table");
    }

    #[test]
    fn a_rule_of_a_later_version_is_shown_by_its_code() {
        let data =
            Data::new(r#"{"level":"warn","findings":[{"code":"motor.hot","level":"warn","value":1}],"x":1}"#);
        let read = StatedHealth::from_data(&data.unwrap()).unwrap();
        assert_eq!(read.findings()[0].sentence, "motor.hot");
    }

    #[test]
    fn other_texts_are_no_health_and_hostile_ones_are_made_harmless() {
        for text in ["", "7", "{}", r#"{"level":"good"}"#, r#"{"level":"ok","more":-1}"#, &"[".repeat(900)] {
            assert_eq!(StatedHealth::from_data(&Data::new(text).unwrap()), None, "{text}");
        }
        let hostile = r#"{"level":"ok","findings":[{"code":"\u001b[2J","level":"ok","label":"\u202e","value":1,"sentence":"\n"}]}"#;
        let read = StatedHealth::from_data(&Data::new(hostile).unwrap()).unwrap().findings().remove(0);
        let texts = [read.code, read.label, read.sentence].concat();
        assert!(!texts.chars().any(telemetry::is_dangerous), "{texts:?}");
    }

    #[test]
    fn findings_without_room_are_counted() {
        let long = Finding { sentence: "é".repeat(80), way_out: "x".repeat(160), ..own("") };
        let stated = StatedHealth::of(&report(vec![long; 9]));
        assert!(stated.findings.len() < MAX_STATED && !stated.findings.is_empty());
        assert_eq!(stated.findings.len() + stated.more as usize, 9);
    }

    proptest! {
        #[test]
        fn every_report_fits_into_an_item(
            rows in proptest::collection::vec((0..table().len(), any::<f64>(), "(?s).{0,120}"), 0..20),
            texts in "(?s).{0,200}",
        ) {
            let rules = table();
            let known = rows.into_iter().map(|(rule, value, label)| {
                rules[rule].finding(Level::Error, Label::new(&label).as_str(), value)
            });
            let findings = known.filter(|finding| finding.value.is_finite()).chain([own(&texts)]).collect();
            let stated = StatedHealth::of(&report(findings));
            let data = stated.to_data().unwrap();
            prop_assert!(data.as_str().len() <= buckets::HEALTH.family().max_data);
            let read = StatedHealth::from_data(&data).unwrap();
            prop_assert!(read.is_same(&stated));
            prop_assert!(read.to_data().unwrap().as_str().len() <= dcache::MAX_DATA_BYTES);
        }
    }
}
