//! The answer to the owner of a robot: the consent, and exactly the reports that are sent.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::fields::{FIELDS, LIST_VERSION};
use crate::hex::Hex32;
use crate::observed::Observed;
use crate::payload::Payload;
use crate::protocol::{ReportRow, Status};
use crate::report::{KeptReport, ReportState};
use crate::reporter::{Reporter, collectors};
use crate::tally::Tally;
use crate::week::Week;
use dcache::{Set, Time};
use service::PermissionFile;

/// Returns the consent and the reports.
pub(crate) fn status(reporter: &Reporter, set: &Set, now: Time, permission_file: String) -> Status {
    let consent = reporter.consent();
    let present = match (consent.list, reporter.tally()) {
        (Some(list), Some(tally)) => tally.payload(list),
        _ => example(reporter, set, now),
    };
    let end = present.week().end();
    let covered = consent.list.unwrap_or(LIST_VERSION);
    let new_fields = FIELDS.iter().filter(|field| field.since > covered).map(|field| field.name.to_owned());
    Status {
        is_allowed: consent.list.is_some(),
        source: consent.source,
        permission_file,
        file_error: match reporter.file() {
            PermissionFile::Unreadable(reason) => Some(reason.clone()),
            _ => None,
        },
        answer: reporter.answer(),
        new_fields: new_fields.collect(),
        collectors: collectors(set, reporter.me(), now),
        present: present.to_string(),
        present_from: end,
        present_until: end.plus(reporter.spread()),
        reports: reporter.reports().map(row).collect(),
    }
}

/// Returns the report that the robot would make if it had begun now. It is not kept.
fn example(reporter: &Reporter, set: &Set, now: Time) -> Payload {
    let mut tally = Tally::new(Week::of(now), Hex32([0; 32]));
    tally.note(now, &Observed::of(set, reporter.me(), now, reporter.local()));
    tally.payload(LIST_VERSION).into_example()
}

fn row(report: &KeptReport) -> ReportRow {
    let is_due = match report.state {
        ReportState::Waiting {} | ReportState::Unconfirmed { .. } => report.has_attempts(),
        ReportState::Counted { .. } => false,
        ReportState::Forgetting { .. } => true,
    };
    ReportRow {
        week: report.payload.week(),
        payload: report.payload.to_string(),
        state: report.state,
        due: is_due.then_some(report.due),
        reason: report.reason.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consent::{ConsentRow, ConsentSource};
    use crate::observed::LocalPart;
    use crate::payload::tests::NOW;
    use crate::week::WEEK;
    use dcache::{Keypair, Moment};
    use service::Decide as _;

    #[test]
    fn an_example_is_shown_before_consent_and_the_report_itself_afterwards() {
        let me = Keypair::from_seed([1; 32]).peer_id();
        let mut reporter = Reporter::new((me, 3600), ConsentRow::default(), None, []);
        let set = Set::default();
        let shown = |reporter: &Reporter, now| status(reporter, &set, now, "/x".to_owned());
        let before = shown(&reporter, NOW);
        assert_eq!((before.is_allowed, before.source), (false, ConsentSource::Nobody));
        assert!(before.present.contains(&"0".repeat(64)), "{}", before.present);
        assert!(reporter.tally().is_none(), "nothing is prepared");
        reporter.answered(true, NOW);
        let local = LocalPart { version: "0.1.0".to_owned(), has_key: false };
        reporter.set_inputs(PermissionFile::Absent, local, Hex32([9; 32]));
        reporter.decide(&set, Moment::certain(NOW));
        let after = shown(&reporter, NOW);
        assert!(after.is_allowed && after.new_fields.is_empty() && !after.present.contains(&"0".repeat(64)));
        assert_eq!(
            (after.present_from, after.present_until),
            (Week::of(NOW).end(), Week::of(NOW).end().plus(3600))
        );
        reporter.decide(&set, Moment::certain(NOW.plus(WEEK)));
        let over = shown(&reporter, NOW.plus(WEEK));
        assert_eq!(over.reports[0].payload, after.present, "the report is the one that was shown");
        assert_eq!(over.reports[0].state, ReportState::Waiting {});
    }
}
