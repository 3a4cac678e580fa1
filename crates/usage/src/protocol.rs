//! Requests about usage statistics on the control socket.

use crate::consent::{ConsentSource, OwnerAnswer};
use crate::report::ReportState;
use crate::totals::WeekTotals;
use crate::week::Week;
use dcache::{PeerId, Time};
use serde::{Deserialize, Serialize};

/// Maximum number of weeks of one answer.
pub const MAX_WEEKS: usize = 12;

/// A request to the service `usage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// Asks for the consent and the reports. The answer is [`Answer::Status`].
    Show {},
    /// Permits or denies statistics of this robot. The answer is [`Answer::Status`].
    Decide {
        /// Whether statistics may be sent.
        is_allowed: bool,
    },
    /// Denies statistics, and lets the collectors delete those that were sent. The answer is [`Answer::Forgetting`].
    Forget {},
    /// Asks for the totals that this robot has collected. The answer is [`Answer::Totals`].
    Totals {
        /// Number of weeks, at most [`MAX_WEEKS`].
        weeks: usize,
    },
}

/// An answer of the service `usage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Answer {
    /// The answer to [`Request::Show`] and [`Request::Decide`].
    Status(Box<Status>),
    /// The answer to [`Request::Forget`].
    Forgetting {
        /// Number of reports that collectors are asked to delete.
        reports: usize,
    },
    /// The answer to [`Request::Totals`].
    Totals {
        /// Whether admins name this robot as a collector now.
        is_collector: bool,
        /// Smallest number of robots that a value is shown for.
        minimum: u32,
        /// The latest weeks, latest first.
        weeks: Vec<WeekTotals>,
    },
}

/// The consent and the reports of this robot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Whether statistics are sent.
    pub is_allowed: bool,
    /// The source of this decision.
    pub source: ConsentSource,
    /// Path of the permission file, which need not exist.
    pub permission_file: String,
    /// Reason why the permission file cannot be read.
    pub file_error: Option<String>,
    /// The answer of the owner.
    pub answer: Option<OwnerAnswer>,
    /// Fields that were added after the consent. They are left out until the owner agrees again.
    pub new_fields: Vec<String>,
    /// The collectors, which admins name.
    pub collectors: Vec<PeerId>,
    /// The report about the present week, as it would be if the week ended now: exactly the text that is sent. Without consent it is
    /// an example, whose ID consists of zeros.
    pub present: String,
    /// First time at which the report about the present week is sent.
    pub present_from: Time,
    /// Time by which the first attempt to send it is made.
    pub present_until: Time,
    /// Reports about earlier weeks, oldest first.
    pub reports: Vec<ReportRow>,
}

/// A report about an earlier week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReportRow {
    /// The week that it is about.
    pub week: Week,
    /// Exactly the text that is or was sent.
    pub payload: String,
    /// Where the report is.
    pub state: ReportState,
    /// Time of the next attempt, if one is due.
    pub due: Option<Time>,
    /// Reason why the last attempt failed.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_read_back_as_written() {
        for request in [
            Request::Show {},
            Request::Decide { is_allowed: true },
            Request::Forget {},
            Request::Totals { weeks: 4 },
        ] {
            let json = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<Request>(&json).unwrap(), request, "{json}");
        }
    }
}
