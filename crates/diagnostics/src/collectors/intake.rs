//! Stores the rows of batches exactly once, and places them in time.
//!
//! The key of a row is its robot, its boot and its number. The rows of a batch that are new, the state of the robot, and
//! the places of earlier rows are committed together. So after a crash a batch is stored completely or not at all, and
//! a batch that comes again changes nothing. The receipt is the result of the commit, so it never comes before the rows
//! are durable.
//!
//! A row is placed once:
//! - at the time that the anchors of its boot give, if there is one;
//! - else, when all rows up to a later boot are stored, at the earliest time that the boots before it permit. If these
//!   have no anchor either, at the latest time that the later ones permit. So the order of the rows is kept.
//!
//! A row that has no place yet waits for later batches.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::check::{self, Refused, Rows};
use super::track::{RobotState, Track};
use crate::batch::stated::{StatedBatch, StatedReceipt};
use crate::ring::timeline::{Anchor, Placed, Timeline};
use crate::sample::{BootId, Readings, Sample, Stamp};
use dcache::{PeerId, Time};

/// Maximum number of rows of a robot that get their place after they were stored, for each batch. A month has 44,640.
const MAX_PLACED: usize = 100_000;

/// The key of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// Robot that measured the row.
    pub robot: PeerId,
    /// Boot in which it was measured.
    pub boot: BootId,
    /// Number of the row.
    pub number: u64,
}

/// The place of a row in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Time of day.
    pub time: Time,
    /// Whether the clock of the robot was right at some moment of the boot. Otherwise the time is an estimate.
    pub is_exact: bool,
}

/// A row to store.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRow {
    /// Key of the row.
    pub key: RowKey,
    /// The row as it was measured.
    pub sample: Sample,
    /// Its place in time, if it is known.
    pub position: Option<Position>,
}

/// The changes of one batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Changes {
    /// The robot of the batch.
    pub robot: PeerId,
    /// The name of the robot at this time, if it is known. Rows that get their place now leave the collector with it.
    pub name: Option<String>,
    /// Its new state.
    pub state: RobotState,
    /// Rows that are not in the table.
    pub rows: Vec<NewRow>,
    /// Places of rows that are in the table without one.
    pub placed: Vec<(RowKey, Position)>,
    /// Rows in the table that will never have a place, because the boots around them are forgotten.
    pub given_up: Vec<RowKey>,
}

/// The store of a collector.
pub trait Table {
    /// Error of the store.
    type Error;

    /// Returns the state of a robot, if there is one.
    ///
    /// # Errors
    /// Returns an error if the store fails.
    fn state(&self, robot: PeerId) -> Result<Option<RobotState>, Self::Error>;

    /// Returns whether there is a row with this key.
    ///
    /// # Errors
    /// Returns an error if the store fails.
    fn has(&self, key: &RowKey) -> Result<bool, Self::Error>;

    /// Returns the rows of a robot that have no place in time and are not given up, with their times since the boot: at
    /// most `most`, in the order of their keys.
    ///
    /// # Errors
    /// Returns an error if the store fails.
    fn unplaced(&self, robot: PeerId, most: usize) -> Result<Vec<(RowKey, u64)>, Self::Error>;

    /// Makes all changes, or none, and waits until they are durable.
    ///
    /// # Errors
    /// Returns an error if the store fails. No change was made then.
    fn commit(&mut self, changes: Changes) -> Result<(), Self::Error>;
}

/// Reason why a batch was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeError<E> {
    /// The rows of the batch are refused.
    #[error("the rows of the batch are refused: {0}")]
    Refused(#[from] Refused),
    /// The store failed. The batch may be tried again.
    #[error("the rows of the batch could not be stored: {0}")]
    Store(#[source] E),
}

/// Result of a batch that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Number of rows that are new.
    pub new: usize,
    /// Number of rows that were there already.
    pub known: usize,
    /// Number of rows that got their place in time.
    pub placed: usize,
    /// Number of values that were left out because the robot has too many series.
    pub omitted: u64,
    /// Number of times of day that cannot be true.
    pub impossible_anchors: usize,
    /// Receipt for the robot, if all rows from the first one on are stored up to some number.
    pub receipt: Option<StatedReceipt>,
}

/// Stores the rows of an opened batch of a robot, whose name is `name` if it is known. `base` is the number in its front up
/// to which no row has to be stored.
///
/// # Errors
/// Returns an error if the rows are refused, or if the store fails. Nothing was changed then.
pub fn take<T: Table>(
    table: &mut T,
    (robot, name): (PeerId, Option<&str>),
    (batch, base): (&StatedBatch, u64),
    content: &[u8],
    now: Time,
) -> Result<Taken, TakeError<T::Error>> {
    let Rows { rows, anchors, impossible_anchors } = check::rows(content, (batch.after, batch.last), now)?;
    let mut state = table.state(robot).map_err(TakeError::Store)?.unwrap_or_default();
    let track = state.track(batch.history);
    let timeline = timeline(track, &rows, &anchors);
    track.add_span(0, base);
    track.add_span(batch.after, batch.last);
    track.set_timeline(&timeline);
    let (stored, receipt) = (track.stored(), track.receipt());
    let (all, omitted) = (rows.len(), state.omitted);
    let new = new_rows(table, robot, rows, &mut state, (&timeline, stored)).map_err(TakeError::Store)?;
    let earlier = table.unplaced(robot, MAX_PLACED).map_err(TakeError::Store)?;
    let (placed, given_up) = place_earlier(&state, earlier);
    let taken = Taken {
        new: new.len(),
        known: all - new.len(),
        placed: placed.len() + new.iter().filter(|row| row.position.is_some()).count(),
        omitted: state.omitted - omitted,
        impossible_anchors,
        receipt,
    };
    let name = name.map(str::to_owned);
    table.commit(Changes { robot, name, state, rows: new, placed, given_up }).map_err(TakeError::Store)?;
    Ok(taken)
}

/// Returns the rows that are not in the table, with their places.
fn new_rows<T: Table>(
    table: &T,
    robot: PeerId,
    rows: Vec<Sample>,
    state: &mut RobotState,
    (timeline, stored): (&Timeline, u64),
) -> Result<Vec<NewRow>, T::Error> {
    let mut new = Vec::new();
    for mut sample in rows {
        let key = RowKey { robot, boot: sample.stamp.boot, number: sample.sequence };
        if !table.has(&key)? {
            sample.readings = admitted(state, &sample.readings);
            let position = position(timeline, sample.stamp, stored);
            new.push(NewRow { key, sample, position });
        }
    }
    Ok(new)
}

/// Returns the boots of a history, with those of new rows.
fn timeline(track: &Track, rows: &[Sample], anchors: &[Anchor]) -> Timeline {
    let mut timeline = track.timeline();
    rows.iter().for_each(|row| timeline.add_row(row));
    anchors.iter().for_each(|anchor| timeline.add_anchor(*anchor));
    timeline
}

/// Returns the places of rows that were stored without one, and the rows whose boots are forgotten.
fn place_earlier(state: &RobotState, earlier: Vec<(RowKey, u64)>) -> (Vec<(RowKey, Position)>, Vec<RowKey>) {
    let timelines: Vec<(Timeline, u64)> =
        state.histories.iter().rev().map(|track| (track.timeline(), track.stored())).collect();
    let (mut placed, mut given_up) = (Vec::new(), Vec::new());
    for (key, millis) in earlier {
        let of_boot = timelines.iter().position(|(timeline, _)| timeline.has(key.boot));
        let Some((place, (timeline, stored))) =
            of_boot.and_then(|place| Some((place, timelines.get(place)?)))
        else {
            given_up.push(key);
            continue;
        };
        let stamp = Stamp { boot: key.boot, millis };
        // A former history is over, so no further anchor of its last boot will come.
        let position =
            position(timeline, stamp, *stored).or_else(|| estimate(timeline, stamp).filter(|_| place > 0));
        placed.extend(position.map(|position| (key, position)));
    }
    (placed, given_up)
}

/// Returns the readings whose series are stored, and counts the others.
fn admitted(state: &mut RobotState, readings: &Readings) -> Readings {
    let mut admitted = Readings::default();
    for reading in readings.iter() {
        match state.admits(reading.series.metric.number, reading.series.label.as_str()) {
            true => admitted.put(reading.series.clone(), reading.value),
            false => state.omitted = state.omitted.saturating_add(1),
        }
    }
    admitted
}

/// Returns the place of a moment, if no later batch can tell a better one. All rows up to `stored` are there.
fn position(timeline: &Timeline, stamp: Stamp, stored: u64) -> Option<Position> {
    let position = estimate(timeline, stamp)?;
    // While rows of the boot can still come, one of them can have an anchor. The latest time also depends on all boots
    // up to the next one with an anchor.
    let complete = match timeline.place(stamp) {
        Placed::At(_) => return Some(position),
        Placed::Between(Some(_), _) => timeline.next_boot(stamp.boot),
        Placed::Between(None, _) => timeline.next_anchored(stamp.boot),
    };
    complete.is_some_and(|complete| complete <= stored).then_some(position)
}

/// Returns the place of a moment by all that is known now.
fn estimate(timeline: &Timeline, stamp: Stamp) -> Option<Position> {
    match timeline.place(stamp) {
        Placed::At(time) => Some(Position { time, is_exact: true }),
        Placed::Between(earliest, latest) => Some(Position { time: earliest.or(latest)?, is_exact: false }),
    }
}
