//! What every document says that was made of records: where they come from, and what was left out.

use super::fields::{Daemon, Timestamp};
use super::names::Names;
use crate::ask::Answer;
use crate::text::{clean, count};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The answer of which a document is made.
#[derive(Debug, Serialize)]
pub(crate) struct Answered {
    /// The daemon that answered.
    pub(crate) daemon: Daemon,
    /// The time for which the records were judged.
    pub(crate) time: Timestamp,
    /// The number of records that came and were believed.
    pub(crate) records_read: usize,
    /// What the daemon refused since it started: the numbers, by reason.
    pub(crate) refused_by_daemon: BTreeMap<String, u64>,
    /// What came here and was not believed: the numbers, by reason.
    pub(crate) refused_here: BTreeMap<String, u64>,
}

/// Returns whether a metric counts something that was refused, or that followed from it.
fn is_refusal(name: &str) -> bool {
    name.contains(".refused.") || name == telemetry::metrics::BRAIN_LINKS_CLOSED_MISBEHAVIOUR.name
}

impl Answered {
    /// Describes this answer.
    pub(crate) fn new(answer: &Answer, names: &Names) -> Self {
        let counters = answer.pong.status.iter().flat_map(|status| &status.counters);
        let refused = counters
            .filter(|(name, number)| **number > 0 && is_refusal(name))
            .map(|(name, number)| (name.clone(), *number));
        Self {
            daemon: Daemon::new(&answer.pong, names.of(answer.pong.peer).hostname),
            time: Timestamp(answer.now),
            records_read: answer.set.len(),
            refused_by_daemon: refused.collect(),
            refused_here: answer.refused.clone(),
        }
    }

    /// Returns the lines below the tables: how much was read, and what was refused.
    pub(crate) fn footer(&self) -> String {
        let mut shown = format!("{} read", count(self.records_read, "record"));
        // Writing to a String does not fail.
        if let Some(records) = self.daemon.records {
            let _ = write!(shown, ", {records} held by the daemon");
        }
        shown.push_str(".\n");
        for (name, number) in &self.refused_by_daemon {
            let metric = telemetry::metrics::find(name);
            let what = metric.map_or(name.as_str(), |metric| metric.help.trim_end_matches('.'));
            let _ = writeln!(shown, "The daemon counts: {}: {number}.", clean(what, 120));
        }
        for (reason, number) in &self.refused_here {
            let _ = writeln!(shown, "Left out here: {number}, because: {reason}.");
        }
        shown
    }
}
