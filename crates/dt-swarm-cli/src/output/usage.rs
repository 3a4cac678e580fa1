//! The consent to usage statistics, the reports, and the totals of a collector.

use super::fields::{PeerRef, Timestamp};
use super::names::Names;
use crate::tables::table;
use crate::text::{clean, date};
use ::usage::{ConsentSource, ReportRow, ReportState, Status, WeekTotals};
use serde::Serialize;
use std::fmt::Write as _;

/// Maximum number of characters of a report that are shown.
const MAX_REPORT: usize = 1024;
/// Maximum number of characters of a reason that are shown.
const MAX_REASON: usize = 300;

/// The consent and the reports of this robot.
#[derive(Debug, Serialize)]
pub(crate) struct UsageStatus {
    /// Whether statistics are sent.
    is_allowed: bool,
    /// The source of this decision: `file`, `owner`, or `nobody` if nobody has decided yet.
    decided_by: ConsentSource,
    /// The time of the owner's answer; `null` if there is none.
    answer_time: Option<Timestamp>,
    /// The path of the permission file, which need not exist.
    path: String,
    /// Why the permission file cannot be read; `null` if it can, or does not exist.
    reason: Option<String>,
    /// Fields that were added after the consent. They are left out until `usage allow`.
    new_fields: Vec<String>,
    /// The collectors that admins name.
    collectors: Vec<PeerRef>,
    /// The report about the present week.
    present: PresentReport,
    /// The reports about earlier weeks, oldest first.
    reports: Vec<EarlierReport>,
}

/// The report about the present week, as it would be if the week ended now.
#[derive(Debug, Serialize)]
struct PresentReport {
    /// The text, exactly as it is sent. Without consent it is an example with an ID of zeros.
    payload: String,
    /// The first time at which it is sent.
    from: Timestamp,
    /// The time by which the first attempt is made.
    until: Timestamp,
}

/// The report about an earlier week.
#[derive(Debug, Serialize)]
struct EarlierReport {
    /// The week, such as `2026-W49`.
    week: String,
    /// The text, exactly as it is or was sent.
    payload: String,
    /// `waiting`, `unconfirmed`, `counted` or `forgetting`.
    state: &'static str,
    /// The collector; `null` while the report waits.
    collector: Option<PeerRef>,
    /// The time at which the collector confirmed it; `null` if it did not.
    counted_time: Option<Timestamp>,
    /// The time of the next attempt; `null` if there is none.
    due_time: Option<Timestamp>,
    /// Why the last attempt failed; `null` if it did not.
    reason: Option<String>,
}

/// The totals of a collector.
#[derive(Debug, Serialize)]
pub(crate) struct Totals {
    /// Whether admins name this robot as a collector now.
    pub(crate) is_collector: bool,
    /// The smallest number of robots that a value is shown for.
    pub(crate) minimum_robots: u32,
    /// The latest weeks, latest first.
    pub(crate) weeks: Vec<WeekTotals>,
}

impl UsageStatus {
    pub(crate) fn new(status: Status, names: &Names) -> Self {
        Self {
            is_allowed: status.is_allowed,
            decided_by: status.source,
            answer_time: status.answer.map(|answer| Timestamp(answer.time)),
            path: status.permission_file,
            reason: status.file_error,
            new_fields: status.new_fields,
            collectors: status.collectors.into_iter().map(|peer| names.of(peer)).collect(),
            present: PresentReport {
                payload: status.present,
                from: Timestamp(status.present_from),
                until: Timestamp(status.present_until),
            },
            reports: status.reports.into_iter().map(|row| EarlierReport::new(row, names)).collect(),
        }
    }

    pub(crate) fn show(&self) -> String {
        let mut text = self.consent();
        if !self.new_fields.is_empty() {
            let fields = self.new_fields.join(", ");
            let _ = writeln!(
                text,
                "These fields were added after the consent, and are left out until `usage allow`: {fields}."
            );
        }
        text += &self.collectors();
        let from = date(self.present.from.0);
        let what = match self.is_allowed {
            true => format!("The report about this week so far. It is sent after {from}"),
            false => "A report would have this form. The ID would be a random number of each week".to_owned(),
        };
        let _ = write!(text, "\n{what}:\n{}\n", clean(&self.present.payload, MAX_REPORT));
        for report in &self.reports {
            let (payload, state) = (clean(&report.payload, MAX_REPORT), report.describe());
            let _ = write!(text, "\n{}: {state}:\n{payload}\n", report.week);
        }
        text
    }

    fn consent(&self) -> String {
        let path = clean(&self.path, MAX_REASON);
        match (self.is_allowed, self.decided_by, &self.reason) {
            (_, _, Some(reason)) => format!(
                "Usage statistics are off: the file {path} cannot be read ({}).\n",
                clean(reason, MAX_REASON)
            ),
            (true, ConsentSource::File, _) => {
                format!("Usage statistics are on: the file {path} permits them. `usage deny` turns them off.\n")
            }
            (true, _, _) => "Usage statistics are on: you permitted them. `usage deny` turns them off.\n".to_owned(),
            (false, ConsentSource::File, _) => format!("Usage statistics are off: the file {path} denies them.\n"),
            (false, ConsentSource::Owner, _) => {
                "Usage statistics are off: you denied them. `usage allow` turns them on.\n".to_owned()
            }
            (false, ConsentSource::Nobody, _) => {
                "Usage statistics are off: nobody has decided yet. Do you permit reports like the one below, one a week? \
                 `usage allow` permits them, and `usage deny` denies them.\n"
                    .to_owned()
            }
        }
    }

    fn collectors(&self) -> String {
        let names: Vec<String> = self.collectors.iter().map(PeerRef::show).collect();
        match names.as_slice() {
            [] => "No admin has named a collector, so nothing is sent.\n".to_owned(),
            [one] => format!("The collector is {one}.\n"),
            several => format!("Each report goes to one of the collectors {}.\n", several.join(", ")),
        }
    }
}

impl EarlierReport {
    fn new(row: ReportRow, names: &Names) -> Self {
        let (state, collector, counted) = match row.state {
            ReportState::Waiting {} => ("waiting", None, None),
            ReportState::Unconfirmed { collector } => ("unconfirmed", Some(collector), None),
            ReportState::Counted { collector, time } => ("counted", Some(collector), Some(time)),
            ReportState::Forgetting { collector } => ("forgetting", Some(collector), None),
        };
        Self {
            week: row.week.to_string(),
            payload: row.payload,
            state,
            collector: collector.map(|peer| names.of(peer)),
            counted_time: counted.map(Timestamp),
            due_time: row.due.map(Timestamp),
            reason: row.reason,
        }
    }

    fn describe(&self) -> String {
        let collector = self.collector.as_ref().map(PeerRef::show).unwrap_or_default();
        let next = self.due_time.map(|due| format!(", next attempt at {}", date(due.0))).unwrap_or_default();
        let state = match (self.state, self.counted_time) {
            ("waiting", _) => "not sent".to_owned(),
            ("counted", Some(time)) => format!("sent to {collector}, who confirmed it at {}", date(time.0)),
            ("forgetting", _) => format!("{collector} is asked to delete it, and has not confirmed that"),
            _ => format!("sent to {collector}, who has not confirmed it"),
        };
        let reason = self.reason.as_ref().map(|reason| format!(" ({})", clean(reason, MAX_REASON)));
        format!("{state}{next}{}", reason.unwrap_or_default())
    }
}

impl Totals {
    pub(crate) fn show(&self) -> String {
        if self.weeks.is_empty() {
            return match self.is_collector {
                true => "No robot has sent a report yet.\n".to_owned(),
                false => "This robot is no collector: no admin has named it in the bucket `collectors`.\n"
                    .to_owned(),
            };
        }
        let mut text = String::new();
        for week in &self.weeks {
            let mut rows = table(&["FIELD", "VALUE", "ROBOTS"]);
            for field in &week.fields {
                for value in &field.values {
                    let value_shown = clean(&value.value, MAX_REASON);
                    rows.add_row([clean(&field.field, MAX_REASON), value_shown, value.robots.to_string()]);
                }
                let hidden = match field.hidden {
                    Some(0) => continue,
                    Some(hidden) => hidden.to_string(),
                    None => format!("fewer than {}", self.minimum_robots),
                };
                rows.add_row([clean(&field.field, MAX_REASON), "(not shown)".to_owned(), hidden]);
            }
            let _ = write!(text, "{}\n{}\n\n", week.week, rows.trim_fmt());
        }
        let _ = writeln!(text, "Values of fewer than {} robots are not shown.", self.minimum_robots);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::vocabulary;
    use ::usage::{FieldTotals, OwnerAnswer, ValueTotal, Week};
    use dcache::{Keypair, Time};

    const NOW: Time = Time(1_796_050_800);

    fn status() -> Status {
        let collector = Keypair::from_seed([1; 32]).peer_id();
        let row = |state, due, reason: Option<&str>| ReportRow {
            week: Week::of(NOW),
            payload: "{\"list\":1}".to_owned(),
            state,
            due,
            reason: reason.map(str::to_owned),
        };
        Status {
            is_allowed: true,
            source: ConsentSource::Owner,
            permission_file: "/data/config/permissions/allow_push_stats_data".to_owned(),
            file_error: None,
            answer: Some(OwnerAnswer { is_allowed: true, list: 1, time: NOW }),
            new_fields: vec!["colour".to_owned()],
            collectors: vec![collector],
            present: "{\"list\":2}".to_owned(),
            present_from: NOW,
            present_until: NOW.plus(5),
            reports: vec![
                row(ReportState::Waiting {}, Some(NOW), Some("no\u{1b} way")),
                row(ReportState::Unconfirmed { collector }, None, None),
                row(ReportState::Counted { collector, time: NOW }, None, None),
                row(ReportState::Forgetting { collector }, Some(NOW), None),
            ],
        }
    }

    #[test]
    fn the_exact_reports_and_their_states_are_shown() {
        let shown = UsageStatus::new(status(), &Names::default());
        let text = shown.show();
        for part in [
            "are on: you permitted them",
            "until `usage allow`: colour",
            "The collector is",
            "{\"list\":2}",
            "{\"list\":1}",
            "not sent, next attempt at 2026-11-30T15:00:00Z (no",
            "who confirmed it at",
            "who has not confirmed it",
            "is asked to delete it",
        ] {
            assert!(text.contains(part), "{part} in:\n{text}");
        }
        assert!(!text.contains('\u{1b}'));
        let json = vocabulary::checked(&shown);
        assert_eq!(
            (&json["present"]["payload"], &json["decided_by"]),
            (&"{\"list\":2}".into(), &"owner".into())
        );
        assert_eq!(json["reports"][2]["state"], "counted");
    }

    #[test]
    fn every_decision_is_explained() {
        let text = |is_allowed, source, error: Option<&str>| {
            let status = Status { is_allowed, source, file_error: error.map(str::to_owned), ..status() };
            UsageStatus::new(Status { collectors: Vec::new(), ..status }, &Names::default()).show()
        };
        assert!(text(false, ConsentSource::Nobody, None).contains("nobody has decided yet"));
        assert!(text(false, ConsentSource::Owner, None).contains("you denied them"));
        assert!(text(false, ConsentSource::File, None).contains("_stats_data denies them"));
        assert!(text(true, ConsentSource::File, None).contains("_stats_data permits them"));
        assert!(text(false, ConsentSource::File, Some("is a folder")).contains("(is a folder)"));
        assert!(text(true, ConsentSource::Owner, None).contains("No admin has named a collector"));
    }

    #[test]
    fn totals_are_shown_without_small_numbers() {
        let value = ValueTotal { value: "duckiebot".to_owned(), robots: 12 };
        let field =
            |hidden| FieldTotals { field: "robot_type".to_owned(), values: vec![value.clone()], hidden };
        let weeks = vec![WeekTotals {
            week: Week::of(NOW),
            fields: vec![field(Some(0)), field(Some(7)), field(None)],
        }];
        let totals = Totals { is_collector: true, minimum_robots: 5, weeks };
        let text = totals.show();
        for part in ["2026-W49", "duckiebot", "12", "(not shown)", "fewer than 5"] {
            assert!(text.contains(part), "{part} in:\n{text}");
        }
        vocabulary::checked(&totals);
        let none = |is_collector| Totals { is_collector, minimum_robots: 5, weeks: Vec::new() }.show();
        assert!(none(true).contains("No robot") && none(false).contains("no collector"));
    }
}
