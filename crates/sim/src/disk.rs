//! The disk of a node, whose content survives a crash. Own records are written before they are sent, and the records of
//! others in groups, a little later.

use dcache::{Key, Record, Time};
use std::collections::BTreeMap;
use std::time::Duration;

/// Maximum time for which records of others wait for the disk, as in the daemon.
pub(crate) const GROUP: Duration = Duration::from_secs(2);

/// A node's disk, and the changes that wait for it.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) records: BTreeMap<Key, Record>,
    /// Last sequence number that this node used.
    pub(crate) sequence: u64,
    /// Lower bound of the current time.
    pub(crate) time: Option<Time>,
    waiting: BTreeMap<Key, Option<Record>>,
    is_due: bool,
}

impl Disk {
    /// Notes a change. Returns whether a commit has to be planned for it.
    pub(crate) fn change(&mut self, key: Key, record: Option<Record>) -> bool {
        self.waiting.insert(key, record);
        !std::mem::replace(&mut self.is_due, true)
    }

    /// Writes the waiting changes.
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

    /// Writes a record of this node, together with all waiting changes.
    pub(crate) fn commit_own(&mut self, record: &Record, floor: Time) {
        self.waiting.insert(Key::from(record), Some(record.clone()));
        self.sequence = self.sequence.max(record.signature().sequence);
        self.commit(floor);
    }

    /// Simulates a power failure: the waiting changes are lost.
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
    fn a_crash_loses_the_waiting_changes_and_nothing_else() {
        let (mut disk, [own, early, late]) =
            (Disk::default(), ["own", "early", "late"].map(|data| record(data, 7)));
        assert!(disk.change(Key::from(&early), Some(early.clone())), "a commit has to be planned");
        assert!(!disk.change(Key::from(&early), Some(early.clone())), "only one commit has to be planned");
        disk.commit_own(&own, Time(5));
        disk.change(Key::from(&late), Some(late.clone()));
        disk.crash();
        assert!(disk.change(Key::from(&own), None), "after a crash, a commit has to be planned again");
        disk.crash();
        disk.commit(Time(4));
        assert!(disk.records.values().eq([&early, &own]));
        assert_eq!((disk.sequence, disk.time), (7, Some(Time(5))));
    }
}
