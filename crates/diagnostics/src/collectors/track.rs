//! The knowledge of a collector about a robot: the rows that it has, and the boots of the robot's histories.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::batch::HistoryId;
use crate::batch::stated::StatedReceipt;
use crate::ring::timeline::{Anchor, BootTimes, Timeline};
use crate::sample::{BootId, Stamp};
use dcache::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// Maximum number of histories of a robot that are remembered. A new one begins when a robot gets a new disk.
const MAX_HISTORIES: usize = 4;
/// Maximum number of spans of rows between which others are missing.
const MAX_SPANS: usize = 32;
/// Maximum number of boots that are remembered. Rows of older boots are placed in time already.
const MAX_BOOTS: usize = 1024;
/// Maximum number of different series of a robot that are stored. Further ones are left out. A robot has about 80.
pub const MAX_ROBOT_SERIES: usize = 1024;

/// The knowledge of a collector about a robot. It is stored together with the rows, in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RobotState {
    /// The histories of the robot, the one of the last batch at the end.
    pub histories: Vec<Track>,
    /// The series of the robot: number of the metric, and label.
    pub series: BTreeSet<(u16, String)>,
    /// Number of values that were left out because the robot has too many series.
    pub omitted: u64,
}

/// The knowledge of a collector about one history of a robot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Track {
    /// ID of the history.
    pub history: HistoryId,
    /// The rows that are stored, or that need not be, in order: numbers after the first one up to the second one.
    pub spans: Vec<(u64, u64)>,
    /// Boots in order.
    pub boots: Vec<TrackedBoot>,
}

/// The times of a boot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedBoot {
    boot: [u8; BootId::BYTES],
    first: u64,
    millis: u64,
    /// Milliseconds since the boot, and the time of day then.
    anchors: Vec<(u64, Time)>,
}

impl RobotState {
    /// Returns only what says which rows are stored.
    #[must_use]
    pub fn outline(mut self) -> Self {
        self.series.clear();
        self.histories.iter_mut().for_each(|track| track.boots = Vec::new());
        self
    }

    /// Returns the history with this ID, and makes it the latest one. Of too many, the one that was used longest ago is
    /// forgotten.
    pub(super) fn track(&mut self, history: HistoryId) -> &mut Track {
        let known = self.histories.iter().position(|track| track.history == history);
        let track = known.map_or_else(|| Track::new(history), |place| self.histories.remove(place));
        if self.histories.len() >= MAX_HISTORIES {
            self.histories.remove(0);
        }
        self.histories.push(track);
        let last = self.histories.len() - 1;
        &mut self.histories[last]
    }

    /// Returns whether a series is stored. Notes a new one if there is room.
    pub(super) fn admits(&mut self, number: u16, label: &str) -> bool {
        let series = (number, label.to_owned());
        if self.series.contains(&series) {
            return true;
        }
        let has_room = self.series.len() < MAX_ROBOT_SERIES;
        has_room && self.series.insert(series)
    }
}

impl Track {
    const fn new(history: HistoryId) -> Self {
        Self { history, spans: Vec::new(), boots: Vec::new() }
    }

    /// Notes that the rows after `after` up to `last` are stored or need not be. Neighbouring and overlapping spans are
    /// joined. Of too many spans, the last ones are forgotten, and their rows are fetched again.
    pub(super) fn add_span(&mut self, after: u64, last: u64) {
        if after >= last {
            return;
        }
        self.spans.push((after, last));
        self.spans.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (after, last) in self.spans.drain(..) {
            match joined.last_mut() {
                Some(former) if after <= former.1 => former.1 = former.1.max(last),
                _ => joined.push((after, last)),
            }
        }
        joined.truncate(MAX_SPANS);
        self.spans = joined;
    }

    /// Returns the number up to which all rows are stored.
    pub fn stored(&self) -> u64 {
        self.spans.first().filter(|(after, _)| *after == 0).map_or(0, |(_, last)| *last)
    }

    /// Returns whether the rows after `after` up to `last` are stored.
    pub fn has(&self, after: u64, last: u64) -> bool {
        self.spans.iter().any(|span| span.0 <= after && last <= span.1)
    }

    /// Returns the receipt, if rows are stored.
    pub fn receipt(&self) -> Option<StatedReceipt> {
        let last = self.stored();
        (last > 0).then_some(StatedReceipt { history: self.history, last })
    }

    /// Returns the boots as a timeline.
    pub(super) fn timeline(&self) -> Timeline {
        let mut timeline = Timeline::default();
        for tracked in &self.boots {
            let boot = BootId::new(tracked.boot);
            let anchor =
                |(millis, time): &(u64, Time)| Anchor { stamp: Stamp { boot, millis: *millis }, time: *time };
            let anchors = tracked.anchors.iter().map(anchor).collect();
            timeline.add_boot(&BootTimes { boot, first: tracked.first, millis: tracked.millis, anchors });
        }
        timeline
    }

    /// Keeps the newest boots of a timeline.
    pub(super) fn set_timeline(&mut self, timeline: &Timeline) {
        let mut boots = timeline.boots();
        boots.drain(..boots.len().saturating_sub(MAX_BOOTS));
        let tracked = |boot: BootTimes| TrackedBoot {
            boot: *boot.boot.as_bytes(),
            first: boot.first,
            millis: boot.millis,
            anchors: boot.anchors.iter().map(|anchor| (anchor.stamp.millis, anchor.time)).collect(),
        };
        self.boots = boots.into_iter().map(tracked).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn history(byte: u8) -> HistoryId {
        HistoryId::from_bytes([byte; 8])
    }

    #[test]
    fn the_histories_and_series_of_a_robot_are_bounded() {
        let mut state = RobotState::default();
        for byte in 0..10 {
            state.track(history(byte)).add_span(0, u64::from(byte) + 1);
        }
        assert_eq!(state.histories.len(), MAX_HISTORIES);
        assert_eq!((state.track(history(7)).stored(), state.track(history(1)).stored()), (8, 0));
        let admitted =
            (0..2 * MAX_ROBOT_SERIES).filter(|number| state.admits(1, &number.to_string())).count();
        assert_eq!((admitted, state.admits(1, "0"), state.admits(2, "0")), (MAX_ROBOT_SERIES, true, false));
    }

    #[test]
    fn a_state_is_the_same_after_writing_and_reading() {
        let mut state = RobotState::default();
        let mut timeline = Timeline::default();
        for number in 0..2 * MAX_BOOTS as u64 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            let boot = BootId::new(id);
            let anchor = Anchor { stamp: Stamp { boot, millis: 5 }, time: Time(1_800_000_000 + number) };
            let anchors = if number.is_multiple_of(2) { vec![anchor] } else { vec![] };
            timeline.add_boot(&BootTimes { boot, first: number + 1, millis: 7, anchors });
        }
        state.track(history(1)).set_timeline(&timeline);
        let track = state.track(history(1)).clone();
        assert_eq!(track.boots.len(), MAX_BOOTS);
        let kept: Vec<BootTimes> = timeline.boots().split_off(MAX_BOOTS);
        assert_eq!(track.timeline().boots(), kept);
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(serde_json::from_str::<RobotState>(&text).unwrap(), state);
    }

    proptest! {
        #[test]
        fn spans_are_those_of_a_list_of_numbers(added in proptest::collection::vec((0..60_u64, 0..20_u64), 0..30)) {
            let (mut track, mut all) = (Track::new(history(1)), BTreeSet::new());
            for (after, size) in added {
                track.add_span(after, after + size);
                all.extend(after + 1..=after + size);
            }
            let stored = (1..).take_while(|number| all.contains(number)).count() as u64;
            prop_assert_eq!(track.stored(), stored);
            for after in 0..80 {
                prop_assert_eq!(track.has(after, after + 1), all.contains(&(after + 1)));
            }
        }
    }
}
