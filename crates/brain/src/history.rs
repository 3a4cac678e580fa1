//! The latest changes of the set. With them, a peer that merely lacks some of these changes is distinguished from a
//! peer that holds other records.

use dcache::{End, Fingerprint, Record};
use std::collections::VecDeque;
use std::time::Duration;

/// Number of changes that are kept.
const CHANGES: usize = 64;
/// Number of latest changes of which a peer may lack any one or two and still count as behind.
const PAIRS: usize = 32;

/// A change of the set: a new record, and the record that it replaced.
#[derive(Clone, Copy, Debug)]
struct Change {
    at: Duration,
    new: Part,
    former: Part,
}

/// The contribution of one record, or of none, to the fingerprints of a set. It is kept beside the records because
/// beacons are compared with all changes, and reading so many records from memory would take long.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    keep: End,
    fingerprint: Fingerprint,
}

impl Part {
    fn of(record: &Record) -> Self {
        Self { keep: record.keep(), fingerprint: Fingerprint::default().with(record) }
    }

    /// Returns the contribution to the fingerprint for a bound.
    fn beyond(&self, bound: End) -> Fingerprint {
        if self.keep > bound { self.fingerprint } else { Fingerprint::default() }
    }
}

impl Change {
    /// Returns the fingerprint before this change.
    fn undo(&self, after: Fingerprint, bound: End) -> Fingerprint {
        after.minus(self.new.beyond(bound)).plus(self.former.beyond(bound))
    }

    /// Returns the fingerprint after this change.
    fn redo(&self, before: Fingerprint, bound: End) -> Fingerprint {
        before.minus(self.former.beyond(bound)).plus(self.new.beyond(bound))
    }
}

/// The latest changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    changes: VecDeque<Change>,
}

impl History {
    pub(crate) fn note(&mut self, new: &Record, former: Option<&Record>, at: Duration) {
        let former = former.map(Part::of).unwrap_or_default();
        self.changes.push_front(Change { at, new: Part::of(new), former });
        self.changes.truncate(CHANGES);
    }

    /// Returns when the set last changed.
    pub(crate) fn last(&self) -> Option<Duration> {
        self.changes.front().map(|change| change.at)
    }

    /// Returns the time of the oldest change that a peer lacks, if the peer is merely behind. It is behind if its
    /// fingerprint (`theirs`) equals our fingerprint (`ours`) without some of the latest changes. These are either all
    /// changes since some time, or any one or two of the last [`PAIRS`]. Then nothing is missing here, and the peer
    /// will ask for the changes.
    pub(crate) fn explains(&self, theirs: Fingerprint, ours: Fingerprint, bound: End) -> Option<Duration> {
        self.since_some_time(theirs, ours, bound).or_else(|| self.but_for_two(theirs, ours, bound))
    }

    fn since_some_time(&self, theirs: Fingerprint, mut ours: Fingerprint, bound: End) -> Option<Duration> {
        self.changes.iter().find_map(|change| {
            ours = change.undo(ours, bound);
            (ours == theirs).then_some(change.at)
        })
    }

    fn but_for_two(&self, theirs: Fingerprint, ours: Fingerprint, bound: End) -> Option<Duration> {
        let latest = || self.changes.iter().take(PAIRS);
        let after: Vec<_> = latest().map(|change| (change.redo(theirs, bound), change.at)).collect();
        latest().enumerate().find_map(|(place, change)| {
            let without = change.undo(ours, bound);
            let mut both = after.iter().skip(place + 1).filter(|(with, _)| *with == without);
            if without == theirs { Some(change.at) } else { both.next().map(|(_, at)| *at) }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, Item, Keypair, Kind, Statement, Time, Validity};

    fn record(sequence: u64) -> Record {
        let item = Item { bucket: "a".parse().unwrap(), data: Data::new(&sequence.to_string()).unwrap() };
        let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(1), 100)).unwrap();
        Record::sign(statement, &Keypair::from_seed([1; 32]), sequence, End::default())
    }

    #[test]
    fn a_peer_that_is_behind_is_distinguished_from_one_that_differs() {
        let (mut history, bound) = (History::default(), End::at(Time(50)));
        let records: Vec<Record> = (1..=10).map(record).collect();
        let of =
            |records: &[&Record]| records.iter().fold(Fingerprint::default(), |sum, record| sum.with(record));
        for (second, record) in (1..).zip(&records) {
            // The fifth record replaces the fourth.
            let former = (second == 5).then(|| records[3].clone());
            history.note(record, former.as_ref(), Duration::from_secs(second));
        }
        let ours: Vec<&Record> = records.iter().filter(|record| **record != records[3]).collect();
        let explains =
            |theirs: &[&Record]| history.explains(of(theirs), of(&ours), bound).map(|at| at.as_secs());
        assert_eq!(explains(&ours[..6]), Some(8), "the last three");
        assert_eq!(
            explains(&[&ours[..3], &ours[4..]].concat()),
            Some(4),
            "neither the fifth nor the fourth, which it replaced"
        );
        let with_the_fourth = [&ours[..3], &[&records[3]], &ours[4..]].concat();
        assert_eq!(explains(&with_the_fourth), Some(5), "the fourth, and not yet the fifth");
        assert_eq!(explains(&[&ours[..1], &ours[2..8]].concat()), Some(2), "the second and the last");
        assert_eq!(explains(&[&ours[..1], &ours[3..8]].concat()), None);
        assert_eq!(
            history.explains(of(&ours[..6]), of(&ours), End::at(Time(200))),
            None,
            "nothing is compared"
        );
    }
}
