//! The common part of all documents that are made from records: the daemon that sent the records, and the numbers of
//! refused records.

use super::fields::{Daemon, Timestamp};
use super::names::Names;
use crate::ask::{Answer, Pong};
use crate::text::{clean, count};
use dcache::{Set, Time};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A description of the answer from which a document is made.
#[derive(Debug, Serialize)]
pub(crate) struct Answered {
    /// The daemon that answered.
    pub(crate) daemon: Daemon,
    /// The time for which it was decided which records count.
    pub(crate) time: Timestamp,
    /// The number of records that were received and accepted.
    pub(crate) records_read: usize,
    /// Counters of refusals by the daemon since it started, by the name of the metric.
    pub(crate) refused_by_daemon: BTreeMap<String, u64>,
    /// Number of records that were received and refused here, by reason.
    pub(crate) refused_here: BTreeMap<String, u64>,
}

/// Returns whether a metric counts refusals, or links that were closed because of them.
fn is_refusal(name: &str) -> bool {
    name.contains(".refused.") || name == telemetry::metrics::BRAIN_LINKS_CLOSED_MISBEHAVIOUR.name
}

impl Answered {
    /// Describes this answer.
    pub(crate) fn new(answer: &Answer, names: &Names) -> Self {
        let refused_here = answer.refused.clone();
        Self { refused_here, ..Self::of(&answer.pong, &answer.set, answer.now, names) }
    }

    /// Describes records that a daemon sent, and sends on as they change. Refused records are not counted.
    pub(crate) fn of(pong: &Pong, set: &Set, now: Time, names: &Names) -> Self {
        let counters = pong.status.iter().flat_map(|status| &status.counters);
        let refused = counters
            .filter(|(name, number)| **number > 0 && is_refusal(name))
            .map(|(name, number)| (name.clone(), *number));
        Self {
            daemon: Daemon::new(pong, names.of(pong.peer).hostname),
            time: Timestamp(now),
            records_read: set.len(),
            refused_by_daemon: refused.collect(),
            refused_here: BTreeMap::new(),
        }
    }

    /// Returns the lines below the tables: the number of records, and the refusals.
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
