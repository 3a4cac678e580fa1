//! What a crash does not take: own words before they are told, others' in groups a little later.

use dcache::{Key, Record, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// How long what others said may wait for the disk, as in the daemon.
pub(crate) const GROUP: Duration = Duration::from_secs(2);

/// A node's disk, and what waits for it.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) records: BTreeMap<Key, Record>,
    /// The last number under which this node spoke.
    pub(crate) sequence: u64,
    /// A time that has passed.
    pub(crate) time: Option<Time>,
    waiting: BTreeMap<Key, Option<Record>>,
    is_due: bool,
}

impl Disk {
    /// Notes a change; tells whether a commit is to be planned for it.
    pub(crate) fn change(&mut self, key: Key, record: Option<Record>) -> bool {
        self.waiting.insert(key, record);
        !std::mem::replace(&mut self.is_due, true)
    }

    /// What waits is written.
    pub(crate) fn commit(&mut self, floor: Time) {
        self.is_due = false;
        self.time = self.time.max(Some(floor));
        for (key, record) in std::mem::take(&mut self.waiting) {
            match record {
                Some(record) => self.records.insert(key, record),
                None => self.records.remove(&key),
            };
        }
    }

    /// An own word is written, and with it all that waits.
    pub(crate) fn commit_own(&mut self, record: &Record, floor: Time) {
        self.waiting.insert(Key::from(record), Some(record.clone()));
        self.sequence = self.sequence.max(record.signature().sequence);
        self.commit(floor);
    }

    /// The power is gone: what waited is lost.
    pub(crate) fn crash(&mut self) {
        self.waiting.clear();
        self.is_due = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::living::statement;
    use dcache::{End, Keypair};

    fn record(data: &str, sequence: u64) -> Record {
        let statement = statement(&"share/files".parse().unwrap(), data, Time(1), 100).unwrap();
        Record::sign(statement, &Keypair::from_seed([1; 32]), sequence, End::default())
    }

    #[test]
    fn a_crash_takes_what_waited_and_nothing_else() {
        let (mut disk, [own, early, late]) =
            (Disk::default(), ["own", "early", "late"].map(|data| record(data, 7)));
        assert!(disk.change(Key::from(&early), Some(early.clone())), "a commit is to be planned");
        assert!(!disk.change(Key::from(&early), Some(early.clone())), "once");
        disk.commit_own(&own, Time(5));
        disk.change(Key::from(&late), Some(late.clone()));
        disk.crash();
        assert!(disk.change(Key::from(&own), None), "after a crash a commit is to be planned anew");
        disk.crash();
        disk.commit(Time(4));
        assert!(disk.records.values().eq([&early, &own]));
        assert_eq!((disk.sequence, disk.time), (7, Some(Time(5))));
    }
}
