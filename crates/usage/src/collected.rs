//! The rows of a collector: for each week, the number of reports with each value, and the IDs of the reports.
//!
//! A collector keeps no report and no sender. To delete a report, the robot sends it again with its secret. The collector finds the
//! ID, and subtracts the values.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::fields::{FIELDS, Field, FieldNumber, field};
use crate::hex::Hex32;
use crate::payload::Payload;
use crate::reporter::{KEEP_WEEKS, MAX_AGE_WEEKS};
use crate::week::Week;
use crate::wire::RefusalCode;
use dcache::{Moment, PeerId, Time};
use std::collections::{BTreeMap, BTreeSet};
use store::TableKey;

/// Maximum number of reports about one week. Each takes about 150 bytes of the disk, for a year.
const MAX_REPORTS: u32 = 10_000;
/// Maximum number of messages of one peer in an hour. A robot that lets all its reports be deleted sends 53.
const MAX_MESSAGES: u32 = 100;
/// Maximum number of messages of all peers in an hour, because each can cost a write to the disk. The reports of 10,000 robots, spread
/// over two days, are 210 in an hour.
const MAX_MESSAGES_OF_ALL: u32 = 5_000;
/// Maximum number of notes about who has reported: all reports about the weeks that are counted now.
const MAX_REPORTED: usize = MAX_REPORTS as usize * (MAX_AGE_WEEKS as usize + 1);
/// Number of seconds in an hour.
const HOUR: u64 = 3600;

/// A row of a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CollectedKey {
    /// The number of reports about a week.
    Reports(Week),
    /// The number of reports about a week that have this value of a field.
    Value(Week, FieldNumber, &'static str),
    /// A report about a week that was counted.
    Id(Week, Hex32),
}

/// A change of the rows: the new value, or `None` to remove the row.
pub(crate) type RowChange = (CollectedKey, Option<u32>);

impl CollectedKey {
    fn week(&self) -> Week {
        match self {
            Self::Reports(week) | Self::Value(week, ..) | Self::Id(week, _) => *week,
        }
    }
}

/// The week, the kind of the row, and the rest.
impl TableKey for CollectedKey {
    fn to_text(&self) -> String {
        match self {
            Self::Reports(week) => format!("{week} reports"),
            Self::Value(week, number, value) => {
                let name = FIELDS.get(*number).map_or("", |field| field.name);
                format!("{week} value {name} {value}")
            }
            Self::Id(week, id) => format!("{week} id {id}"),
        }
    }

    fn from_text(text: &str) -> Option<Self> {
        let (week, rest) = text.split_once(' ')?;
        let week = week.parse().ok()?;
        match rest.split_once(' ') {
            None if rest == "reports" => Some(Self::Reports(week)),
            Some(("value", rest)) => {
                let (name, value) = rest.split_once(' ')?;
                let (number, field) = field(name)?;
                Some(Self::Value(week, number, field.value(value)?))
            }
            Some(("id", id)) => Some(Self::Id(week, id.parse().ok()?)),
            _ => None,
        }
    }
}

/// The counts of a collector. The IDs are only on the disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Collected {
    counts: BTreeMap<CollectedKey, u32>,
}

impl Collected {
    /// Takes the rows on the disk, and returns the keys of those that are too old.
    pub(crate) fn new(
        rows: impl IntoIterator<Item = (CollectedKey, u32)>,
        now: Time,
    ) -> (Self, Vec<RowChange>) {
        let (mut counts, mut old) = (BTreeMap::new(), Vec::new());
        for (key, count) in rows {
            if Week::of(now).since(key.week()) > KEEP_WEEKS {
                old.push((key, None));
            } else if !matches!(key, CollectedKey::Id(..)) {
                counts.insert(key, count);
            }
        }
        (Self { counts }, old)
    }

    /// Returns the changes by which a report is counted, whose ID is not on the disk.
    ///
    /// # Errors
    /// When the report is not taken.
    pub(crate) fn count(&self, payload: &Payload, now: Moment) -> Result<Vec<RowChange>, RefusalCode> {
        if !now.is_certain {
            return Err(RefusalCode::Later);
        }
        let week = payload.week();
        if !(1..=MAX_AGE_WEEKS).contains(&Week::of(now.time).since(week)) {
            return Err(RefusalCode::WrongWeek);
        }
        let reports = self.of(CollectedKey::Reports(week));
        if reports >= MAX_REPORTS {
            return Err(RefusalCode::Full);
        }
        let mut changes = vec![(CollectedKey::Id(week, payload.id()), Some(1))];
        changes.extend(rows_of(payload).map(|key| (key, Some(self.of(key).saturating_add(1)))));
        Ok(changes)
    }

    /// Returns the changes by which a report is not counted any more. `is_known` says whether its ID is on the disk; otherwise
    /// nothing changes.
    ///
    /// # Errors
    /// When the secret is not the one of the report.
    pub(crate) fn forget(
        &self,
        payload: &Payload,
        secret: &Hex32,
        is_known: bool,
    ) -> Result<Vec<RowChange>, RefusalCode> {
        if !payload.is_of(secret) {
            return Err(RefusalCode::WrongSecret);
        }
        if !is_known {
            return Ok(Vec::new());
        }
        let mut changes = vec![(CollectedKey::Id(payload.week(), payload.id()), None)];
        let less = |key| (key, Some(self.of(key).saturating_sub(1)).filter(|count| *count > 0));
        changes.extend(rows_of(payload).map(less));
        Ok(changes)
    }

    /// Takes changes that are on the disk.
    pub(crate) fn apply(&mut self, changes: &[RowChange]) {
        for (key, count) in changes {
            match count {
                _ if matches!(key, CollectedKey::Id(..)) => {}
                Some(count) => drop(self.counts.insert(*key, *count)),
                None => drop(self.counts.remove(key)),
            }
        }
    }

    /// Returns the weeks that have reports, latest first.
    pub(crate) fn weeks(&self) -> impl Iterator<Item = Week> {
        let week = |key: &CollectedKey| matches!(key, CollectedKey::Reports(_)).then(|| key.week());
        let weeks: BTreeSet<Week> = self.counts.keys().filter_map(week).collect();
        weeks.into_iter().rev()
    }

    /// Returns the counts of the values of a field in a week, in the order of the table.
    pub(crate) fn values(
        &self,
        week: Week,
        number: FieldNumber,
        field: &'static Field,
    ) -> Vec<(&'static str, u32)> {
        let count = |value: &&'static str| (*value, self.of(CollectedKey::Value(week, number, value)));
        field.values.iter().map(count).filter(|(_, count)| *count > 0).collect()
    }

    fn of(&self, key: CollectedKey) -> u32 {
        self.counts.get(&key).copied().unwrap_or_default()
    }
}

/// Returns the counted rows that a report belongs to.
fn rows_of(payload: &Payload) -> impl Iterator<Item = CollectedKey> {
    let week = payload.week();
    let value = move |(of, value): (&'static Field, &'static str)| {
        field(of.name).map(|(number, _)| CollectedKey::Value(week, number, value))
    };
    std::iter::once(CollectedKey::Reports(week)).chain(payload.values().filter_map(value))
}

/// Limits on the messages of peers. It is only in memory, so nothing on the disk says which peer sent what.
#[derive(Clone, Debug, Default)]
pub(crate) struct SenderLimits {
    hour: u64,
    messages: BTreeMap<PeerId, u32>,
    messages_of_all: u32,
    /// Peers that have reported about a week.
    reported: BTreeSet<(Week, PeerId)>,
}

impl SenderLimits {
    /// Counts a message of a peer.
    ///
    /// # Errors
    /// When there were too many.
    pub(crate) fn message(&mut self, peer: PeerId, now: Time) -> Result<(), RefusalCode> {
        let hour = now.0 / HOUR;
        if hour != self.hour {
            self.hour = hour;
            self.messages.clear();
            self.messages_of_all = 0;
            let week = Week::of(now);
            self.reported.retain(|(about, _)| week.since(*about) <= MAX_AGE_WEEKS);
        }
        // This also limits the number of peers in the table.
        if self.messages_of_all >= MAX_MESSAGES_OF_ALL {
            return Err(RefusalCode::Later);
        }
        self.messages_of_all += 1;
        let messages = self.messages.entry(peer).or_default();
        *messages = messages.saturating_add(1);
        if *messages > MAX_MESSAGES { Err(RefusalCode::TooMany) } else { Ok(()) }
    }

    /// Returns whether a peer may report about a week: it has not done so since the start of the daemon.
    ///
    /// # Errors
    /// When it has, or when too many peers have.
    pub(crate) fn may_report(&self, week: Week, peer: PeerId) -> Result<(), RefusalCode> {
        match self.reported.contains(&(week, peer)) {
            true => Err(RefusalCode::TooMany),
            false if self.reported.len() >= MAX_REPORTED => Err(RefusalCode::Full),
            false => Ok(()),
        }
    }

    /// Notes that a peer has reported about a week, after [`Self::may_report`].
    pub(crate) fn reported(&mut self, week: Week, peer: PeerId) {
        self.reported.insert((week, peer));
    }

    /// Notes that the report of a peer about a week is deleted.
    pub(crate) fn forgotten(&mut self, week: Week, peer: PeerId) {
        self.reported.remove(&(week, peer));
    }
}

#[cfg(test)]
mod tests;
