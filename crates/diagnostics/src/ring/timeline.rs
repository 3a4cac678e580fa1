//! Places samples in time. A sample has only the boot and the time since then, because the clock of a robot can be
//! wrong.
//!
//! An [`Anchor`] states the time of day at one moment of a boot. It gives the time of every moment of this boot, also
//! of those before. A boot without an anchor lies between the boots before and after it: rows have numbers, so the
//! order of boots is known.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::page::Page;
use crate::sample::{BootId, Sample, Stamp};
use dcache::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

/// Maximum number of boots. The ones with the lowest row numbers are forgotten.
const MAX_BOOTS: usize = 4096;
/// Maximum number of anchors of a boot.
const MAX_ANCHORS: usize = 64;
/// Difference, in milliseconds, from the known anchors at which a further anchor of a boot is kept. Smaller differences
/// are those of rounding.
const WORTHWHILE: u64 = 2000;

/// The time of day at a moment of a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Moment of the boot.
    pub stamp: Stamp,
    /// The time of day then.
    pub time: Time,
}

/// The place of a moment in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The time of day is known.
    At(Time),
    /// The time of day is not known. It is not before the first time, and not after the second one, as far as these are
    /// known.
    Between(Option<Time>, Option<Time>),
}

/// The knowledge of a timeline about a boot, in a form that can be kept on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootTimes {
    /// ID of the boot.
    pub boot: BootId,
    /// Lowest number of a row of the boot.
    pub first: u64,
    /// Greatest known time since the boot, in milliseconds.
    pub millis: u64,
    /// Anchors of the boot.
    pub anchors: Vec<Anchor>,
}

/// The boots of a robot, in order.
#[derive(Clone, Debug, Default)]
pub struct Timeline {
    boots: BTreeMap<BootId, Boot>,
    /// The boots by the lowest number of their rows.
    order: BTreeSet<(u64, BootId)>,
}

#[derive(Clone, Debug)]
struct Boot {
    /// Lowest number of a row of the boot.
    first: u64,
    /// Greatest known time since the boot, in milliseconds.
    millis: u64,
    /// Start of the boot in milliseconds since the Unix epoch, by the anchor at each of these times since the boot.
    starts: BTreeMap<u64, i128>,
}

impl Timeline {
    /// Adds the rows and anchors of a page.
    pub fn add_page(&mut self, page: &Page) {
        page.rows.iter().for_each(|row| self.add_row(row));
        page.anchors.iter().for_each(|anchor| self.add_anchor(*anchor));
    }

    /// Notes that there is a row.
    pub fn add_row(&mut self, row: &Sample) {
        self.note_row(row.sequence, row.stamp);
    }

    fn note_row(&mut self, number: u64, stamp: Stamp) {
        let Stamp { boot: id, millis } = stamp;
        let new = || Boot { first: number, millis, starts: BTreeMap::new() };
        let boot = self.boots.entry(id).or_insert_with(new);
        self.order.remove(&(boot.first, id));
        boot.first = boot.first.min(number);
        boot.millis = boot.millis.max(millis);
        self.order.insert((boot.first, id));
        if self.order.len() > MAX_BOOTS
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.boots.remove(&oldest);
        }
    }

    /// Adds an anchor of a boot that has a row. Other anchors place nothing, and are ignored.
    pub fn add_anchor(&mut self, anchor: Anchor) {
        let Some(boot) = self.boots.get_mut(&anchor.stamp.boot) else { return };
        let start = i128::from(anchor.time.0) * 1000 - i128::from(anchor.stamp.millis);
        let is_new =
            boot.start_at(anchor.stamp.millis).is_none_or(|known| known.abs_diff(start) > WORTHWHILE.into());
        if is_new && boot.starts.len() < MAX_ANCHORS {
            boot.starts.insert(anchor.stamp.millis, start);
        }
    }

    /// Returns all boots, in order.
    pub fn boots(&self) -> Vec<BootTimes> {
        let known = self.order.iter().filter_map(|(_, id)| Some((*id, self.boots.get(id)?)));
        let times = known.map(|(id, Boot { first, millis, starts })| {
            let anchor = |(at, start): (&u64, &i128)| Anchor {
                stamp: Stamp { boot: id, millis: *at },
                time: time(start + i128::from(*at)),
            };
            let anchors = starts.iter().map(anchor).collect();
            BootTimes { boot: id, first: *first, millis: *millis, anchors }
        });
        times.collect()
    }

    /// Adds a boot that [`Self::boots`] returned.
    pub fn add_boot(&mut self, times: &BootTimes) {
        self.note_row(times.first, Stamp { boot: times.boot, millis: times.millis });
        times.anchors.iter().for_each(|anchor| self.add_anchor(*anchor));
    }

    /// Returns whether a boot is known.
    pub fn has(&self, boot: BootId) -> bool {
        self.boots.contains_key(&boot)
    }

    /// Returns the lowest number of a row of the boot that follows this one.
    pub fn next_boot(&self, boot: BootId) -> Option<u64> {
        self.later(boot).next().map(|(first, _)| first)
    }

    /// Returns the lowest number of a row of the next boot that has an anchor.
    pub fn next_anchored(&self, boot: BootId) -> Option<u64> {
        let has_anchor = |id: &BootId| self.boots.get(id).is_some_and(|boot| !boot.starts.is_empty());
        self.later(boot).find(|(_, id)| has_anchor(id)).map(|(first, _)| first)
    }

    /// Returns the boots after this one, with the lowest numbers of their rows.
    fn later(&self, boot: BootId) -> impl Iterator<Item = (u64, BootId)> {
        let place = self.boots.get(&boot).map_or((u64::MAX, boot), |known| (known.first, boot));
        self.order.range((Bound::Excluded(place), Bound::Unbounded)).copied()
    }

    /// Returns the place of a moment in time.
    pub fn place(&self, stamp: Stamp) -> Placed {
        let Some(boot) = self.boots.get(&stamp.boot) else { return Placed::Between(None, None) };
        if let Some(start) = boot.start_at(stamp.millis) {
            return Placed::At(time(start + i128::from(stamp.millis)));
        }
        // The boots between the known ones lasted at least as long as their last rows say.
        let (mut before, mut after) = (0, i128::from(boot.millis) - i128::from(stamp.millis));
        let place = (boot.first, stamp.boot);
        let known = |(_, id): &(u64, BootId)| self.boots.get(id);
        let earliest = self.order.range(..place).rev().filter_map(known).find_map(|other| {
            let end = other.end();
            before += if end.is_none() { i128::from(other.millis) } else { 0 };
            end.map(|end| end + before)
        });
        let later = self.order.range((Bound::Excluded(place), Bound::Unbounded));
        let latest = later.filter_map(known).find_map(|other| {
            let start = other.start();
            after += if start.is_none() { i128::from(other.millis) } else { 0 };
            start.map(|start| start - after)
        });
        Placed::Between(earliest.map(|earliest| time(earliest + i128::from(stamp.millis))), latest.map(time))
    }
}

impl Boot {
    /// Returns the start of the boot by the anchor that is nearest to a moment.
    fn start_at(&self, millis: u64) -> Option<i128> {
        let before = self.starts.range(..=millis).next_back();
        let after = self.starts.range(millis..).next();
        let nearest = before.into_iter().chain(after).min_by_key(|(at, _)| at.abs_diff(millis));
        nearest.map(|(_, start)| *start)
    }

    /// Returns the start of the boot.
    fn start(&self) -> Option<i128> {
        self.start_at(0)
    }

    /// Returns the time of the last row.
    fn end(&self) -> Option<i128> {
        self.start_at(self.millis).map(|start| start + i128::from(self.millis))
    }
}

/// Returns a time of whole seconds.
fn time(millis: i128) -> Time {
    Time(u64::try_from(millis.max(0) / 1000).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Readings;
    use proptest::prelude::*;

    /// A boot of a generated history.
    #[derive(Clone, Debug)]
    struct Real {
        start: u64,
        rows: Vec<u64>,
        has_anchor: bool,
    }

    fn boot(number: usize) -> BootId {
        // The order of the IDs differs from that of the boots.
        let number = number as u8;
        BootId::new([number.wrapping_mul(151); 16])
    }

    fn any_history() -> impl Strategy<Value = Vec<Real>> {
        let rows = proptest::collection::vec(1..1000_u64, 1..6);
        let real = (0..100_000_u64, rows, any::<bool>());
        proptest::collection::vec(real, 1..12).prop_map(|boots| {
            let mut now = 1_700_000_000;
            let follow = |(gap, steps, has_anchor): (u64, Vec<u64>, bool)| {
                let start = now + gap;
                let rows: Vec<u64> = steps
                    .iter()
                    .scan(0, |at, step| {
                        *at += step;
                        Some(*at)
                    })
                    .collect();
                now = start + rows[rows.len() - 1];
                Real { start, rows, has_anchor }
            };
            boots.into_iter().map(follow).collect()
        })
    }

    fn timeline(history: &[Real]) -> Timeline {
        let (mut timeline, mut sequence) = (Timeline::default(), 0);
        for (number, real) in history.iter().enumerate() {
            for seconds in &real.rows {
                sequence += 1;
                let stamp = Stamp { boot: boot(number), millis: seconds * 1000 };
                timeline.add_row(&Sample { stamp, sequence, readings: Readings::default() });
            }
            if real.has_anchor {
                let at = real.rows[real.rows.len() / 2];
                let stamp = Stamp { boot: boot(number), millis: at * 1000 };
                timeline.add_anchor(Anchor { stamp, time: Time(real.start + at) });
            }
        }
        timeline
    }

    proptest! {
        #[test]
        fn moments_are_placed_where_they_were(history in any_history()) {
            let timeline = timeline(&history);
            let mut earliest = Time(0);
            for (number, real) in history.iter().enumerate() {
                for seconds in &real.rows {
                    let truth = Time(real.start + seconds);
                    match timeline.place(Stamp { boot: boot(number), millis: seconds * 1000 }) {
                        Placed::At(time) => {
                            prop_assert!(real.has_anchor && time == truth);
                            earliest = time;
                        }
                        Placed::Between(from, until) => {
                            prop_assert!(!real.has_anchor);
                            prop_assert!(from.is_none_or(|from| from <= truth) && until.is_none_or(|until| until >= truth));
                            let from = from.unwrap_or_default();
                            prop_assert!(from >= earliest, "the order of rows is kept");
                            earliest = from;
                        }
                    }
                }
            }
            let mut copy = Timeline::default();
            timeline.boots().iter().for_each(|boot| copy.add_boot(boot));
            prop_assert_eq!(copy.boots(), timeline.boots(), "a timeline is the same after it was kept");
        }
    }

    #[test]
    fn a_clock_that_was_set_has_two_anchors() {
        let mut timeline = Timeline::default();
        let stamp = |seconds: u64| Stamp { boot: boot(1), millis: seconds * 1000 };
        let row =
            |seconds| Sample { stamp: stamp(seconds), sequence: seconds, readings: Readings::default() };
        timeline.add_anchor(Anchor { stamp: stamp(1), time: Time(1) });
        assert_eq!(timeline.place(stamp(1)), Placed::Between(None, None), "a boot without rows");
        timeline.add_row(&row(100));
        for (seconds, time) in [(10, 1010), (20, 1020), (90, 5090), (91, 5091)] {
            timeline.add_anchor(Anchor { stamp: stamp(seconds), time: Time(time) });
        }
        assert_eq!(timeline.boots[&boot(1)].starts.len(), 2);
        assert_eq!(
            (timeline.place(stamp(49)), timeline.place(stamp(51))),
            (Placed::At(Time(1049)), Placed::At(Time(5051)))
        );
    }

    #[test]
    fn the_number_of_boots_and_anchors_is_bounded() {
        let mut timeline = Timeline::default();
        for number in 0..MAX_BOOTS as u64 + 10 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&number.to_be_bytes());
            let stamp = Stamp { boot: BootId::new(id), millis: 1 };
            timeline.add_row(&Sample { stamp, sequence: number, readings: Readings::default() });
            for minute in (0..200).filter(|_| number % 1000 == 500) {
                let stamp = Stamp { millis: minute * 60_000, ..stamp };
                timeline.add_anchor(Anchor { stamp, time: Time(minute * 9999) });
            }
        }
        assert_eq!(timeline.boots.len(), MAX_BOOTS);
        assert!(timeline.boots.values().all(|boot| boot.first >= 10), "the oldest ones are forgotten");
        assert_eq!(timeline.boots.values().map(|boot| boot.starts.len()).max(), Some(MAX_ANCHORS));
    }
}
