//! The health of a robot, and what is not OK about it.

use super::fields::PeerRef;
use crate::text::clean;
use diagnostics::health::{Finding, Level};
use diagnostics::{ReportState, RobotHealth};
use serde::Serialize;
use std::fmt::Write as _;

/// Maximum number of characters of a sentence that are shown.
const MAX_SHOWN: usize = 600;

/// Something about a robot that is not OK.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FindingEntry {
    /// The stable code of the rule, such as `temperature.high`.
    pub(crate) code: String,
    /// How bad it is.
    pub(crate) level: Level,
    /// The thing that was measured, such as `cpu-thermal`; `null` if there is only one.
    pub(crate) label: Option<String>,
    /// The value, in the unit of the metric. From another robot it is the value when the level changed.
    pub(crate) value: f64,
    /// One sentence: what is wrong.
    pub(crate) message: String,
    /// The way to mend it; `null` if the robot does not tell it.
    pub(crate) remedy: Option<String>,
}

impl From<Finding> for FindingEntry {
    fn from(finding: Finding) -> Self {
        let Finding { code, level, label, value, sentence, way_out } = finding;
        let known = |text: String| Some(text).filter(|text| !text.is_empty());
        Self { code, level, label: known(label), value, message: sentence, remedy: known(way_out) }
    }
}

/// The health of a robot.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct HealthEntry {
    /// Peer ID and name of the robot.
    #[serde(flatten)]
    pub(crate) peer: PeerRef,
    /// The worst level of its findings; `stale` when there is no news.
    pub(crate) level: Level,
    /// How the health is known: `stated` (the robot states it), `stopped` (its daemon was stopped), `missing` (it is present,
    /// and states no health) or `silent` (it was there, and is gone).
    pub(crate) state: ReportState,
    /// Seconds since the health was stated, or since the last sign of the robot; `null` if the robot itself answers.
    pub(crate) age_seconds: Option<u64>,
    /// Findings that are not OK, the worst first.
    pub(crate) findings: Vec<FindingEntry>,
    /// The number of findings that are not listed.
    pub(crate) omitted_findings: u32,
}

impl From<RobotHealth> for HealthEntry {
    fn from(robot: RobotHealth) -> Self {
        let RobotHealth { peer, name, level, state, findings, more, age_seconds } = robot;
        Self {
            peer: PeerRef { peer, hostname: name },
            level,
            state,
            age_seconds: Some(age_seconds),
            findings: findings.into_iter().map(FindingEntry::from).collect(),
            omitted_findings: more,
        }
    }
}

impl HealthEntry {
    /// Returns in a few words what is wrong, without ages; an empty text if nothing is.
    pub(crate) fn show_problem(&self) -> String {
        let silence = match self.state {
            ReportState::Stated => None,
            ReportState::Stopped => Some("dt-swarm was stopped there"),
            ReportState::Missing => Some("it states no health; its version may be older"),
            ReportState::Silent => Some("it lost its power or its network"),
        };
        let first = self.findings.first().map(|finding| clean(&finding.message, MAX_SHOWN));
        let more = self.findings.len().saturating_sub(1) + self.omitted_findings as usize;
        match (silence, first) {
            (Some(silence), _) => silence.to_owned(),
            (None, Some(first)) if more > 0 => format!("{first} (+{more})"),
            (None, first) => first.unwrap_or_default(),
        }
    }

    /// Returns the findings with their remedies, each on lines of its own.
    pub(crate) fn show_findings(&self) -> String {
        let mut shown = String::new();
        for finding in &self.findings {
            let (message, code) = (clean(&finding.message, MAX_SHOWN), clean(&finding.code, 64));
            // Writing to a String does not fail.
            let _ = writeln!(shown, "{:<5}  {message} ({code})", finding.level);
            if let Some(remedy) = &finding.remedy {
                let _ = writeln!(shown, "       -> {}", clean(remedy, MAX_SHOWN));
            }
        }
        if self.omitted_findings > 0 {
            let _ =
                writeln!(shown, "       and {} more, which the robot itself lists", self.omitted_findings);
        }
        shown
    }
}
