//! Renewals of other signers' records that wait to be written to the disk. Each robot renews a few records per hour. If
//! the renewals of a class were written one by one, they would wear out a storage card. So they are written together,
//! and rarely.

use dcache::buckets::{Lifetime, family};
use dcache::{Key, Record, Time};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Maximum time for which a renewal waits for the disk. A record is renewed when half of its validity is left. For
/// validities of an hour or more, this time is shorter than that half. So the earlier record on the disk does not
/// expire before the new one is written.
const LONGEST: Duration = Duration::from_secs(20 * 60);

/// The renewals that wait.
#[derive(Debug, Default)]
pub(crate) struct Renewals {
    waiting: BTreeMap<Key, Record>,
    due: Option<Instant>,
}

impl Renewals {
    /// Returns whether a record may wait. Only records that services renew automatically may. The statement of a person
    /// must not get lost.
    pub(crate) fn may_wait(record: &Record) -> bool {
        matches!(family(&record.item().bucket).lifetime, Lifetime::For(_))
    }

    /// Adds a renewal. It replaces an earlier one with the same key.
    pub(crate) fn add(&mut self, record: Record) {
        self.waiting.insert(Key::from(&record), record);
        self.due.get_or_insert_with(|| Instant::now() + LONGEST);
    }

    /// Drops the renewal that waits at a key.
    pub(crate) fn remove(&mut self, key: &Key) {
        self.waiting.remove(key);
    }

    /// Returns the time at which the waiting renewals are due; `None` if there are none.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Takes all renewals, and returns those that are worth a write. A renewal that expires before the next renewals are
    /// written is not worth one: by then, the record is renewed again or has expired. The parameter `time`
    /// is a lower bound of the current time, if one is known.
    pub(crate) fn take_lasting(&mut self, time: Option<Time>) -> Vec<Record> {
        let soon = time.unwrap_or_default().plus(LONGEST.as_secs());
        let mut taken = self.take_all();
        taken.retain(|record| !record.validity().is_over(soon));
        taken
    }

    /// Takes all waiting renewals.
    pub(crate) fn take_all(&mut self) -> Vec<Record> {
        self.due = None;
        std::mem::take(&mut self.waiting).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, End, Item, Keypair, Kind, Statement, Validity};

    const NOW: Time = Time(1_800_000_000);

    fn record(bucket: &str, seconds: u64) -> Record {
        let item = Item { bucket: bucket.parse().unwrap(), data: Data::new("data").unwrap() };
        let statement = Statement::new(Kind::Propose, item, Validity::starting(NOW, seconds)).unwrap();
        Record::sign(statement, &Keypair::from_seed([2; 32]), 1, End::default())
    }

    #[tokio::test(start_paused = true)]
    async fn renewals_are_written_together_unless_they_are_nearly_over() {
        let mut renewals = Renewals::default();
        assert_eq!(renewals.due(), None);
        renewals.add(record("share/safe", 3600));
        let due = renewals.due();
        assert_eq!(due, Some(Instant::now() + LONGEST));
        tokio::time::advance(LONGEST / 2).await;
        renewals.add(record("peer", 600));
        assert_eq!(renewals.due(), due, "later renewals do not delay the first one");
        assert_eq!(renewals.take_lasting(Some(NOW)), [record("share/safe", 3600)]);
        assert_eq!(renewals.due(), None);
    }

    #[test]
    fn a_statement_of_a_person_does_not_wait() {
        assert!(Renewals::may_wait(&record("peer", 600)));
        assert!(!Renewals::may_wait(&record("trusted", 600)));
    }
}
