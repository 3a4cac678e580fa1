//! Writes records to the disk: in groups, one commit at a time, while the brain continues.

use dcache::{Binding, Key, Record, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Batch, Store, WriteError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::handle::SayError;
use crate::renewals::Renewals;

/// Maximum time for which records of other signers wait for a commit.
const GROUP: Duration = Duration::from_secs(2);
/// Time to wait after the disk refused a commit.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// This node's own records, which are sent once they are on the disk.
pub(crate) struct OwnRecords {
    pub(crate) records: Vec<Record>,
    /// The [`dcache::Policy::mark`] of the policy under which their signatures are valid.
    pub(crate) mark: u64,
    /// Notified with the result, once the records are given to the brain or have failed.
    pub(crate) said: oneshot::Sender<Result<(), SayError>>,
}

/// A commit that ended.
pub(crate) struct EndedCommit {
    pub(crate) result: Result<(), WriteError>,
    pub(crate) own: Vec<OwnRecords>,
    batch: Batch,
}

/// The content that the disk should have at a key: a record, or none.
pub(crate) type Change = Option<Record>;

/// The changes that wait for the disk, and the commit under way.
pub(crate) struct WriteBehind {
    store: Arc<Store>,
    /// The latest change for each key. The disk may refuse writes for days, and the table must not grow with every
    /// record.
    waiting: BTreeMap<Key, Change>,
    /// Renewals of other signers' records that wait for the disk.
    renewals: Renewals,
    /// The last sequence number of the own records that wait.
    sequence: Option<u64>,
    /// Lower bound of the current time. It is saved with the next commit, and the next run starts no earlier.
    time: Option<Time>,
    /// New mark of the swarm in which the records on the disk were signed; `None` if the mark stays the same.
    signed_for: Option<u64>,
    own: Vec<OwnRecords>,
    due: Option<Instant>,
    under_way: Option<JoinHandle<EndedCommit>>,
}

impl WriteBehind {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            waiting: BTreeMap::new(),
            renewals: Renewals::default(),
            sequence: None,
            time: None,
            signed_for: None,
            own: Vec::new(),
            due: None,
            under_way: None,
        }
    }

    /// Adds a record of another signer, or a record of this node's key that came from a peer.
    pub(crate) fn put(&mut self, record: Record) {
        self.change(Key::from(&record), Some(record));
    }

    /// Adds a record with which another signer renews an earlier one. It may wait longer: if it gets lost, the earlier
    /// record is on the disk, and the peers have the new one.
    pub(crate) fn renew(&mut self, record: Record) {
        let is_waited_for = self.waiting.contains_key(&Key::from(&record));
        match Renewals::may_wait(&record) && !is_waited_for {
            true => self.renewals.add(record),
            false => self.put(record),
        }
    }

    /// Notes that the record at `key` is on the disk. Cancels a removal that was meant for an earlier record at that
    /// key.
    pub(crate) fn is_there(&mut self, key: &Key) {
        if let Some(None) = self.waiting.get(key) {
            self.waiting.remove(key);
        }
    }

    /// Sets the lower bound of the current time. It is saved with the next commit.
    pub(crate) fn passed(&mut self, time: Time) {
        self.time = Some(time);
    }

    /// Notes that the next commits may hold records of another swarm. The mark on the disk then makes the next start
    /// verify all records.
    pub(crate) fn is_mixed(&mut self) {
        self.signed_for = Some(Binding::MIXED);
        self.due.get_or_insert_with(|| Instant::now() + GROUP);
    }

    pub(crate) fn remove(&mut self, keys: Vec<Key>) {
        keys.into_iter().for_each(|key| self.change(key, None));
    }

    /// Sets the content that the disk should have at `key`.
    pub(crate) fn change(&mut self, key: Key, change: Change) {
        self.renewals.remove(&key);
        // An own record that waits must get to the disk, whatever happens to the earlier record at its key.
        if !self.own.iter().any(|own| own.records.iter().any(|record| is_at(record, &key))) {
            self.waiting.insert(key, change);
        }
        self.due.get_or_insert_with(|| Instant::now() + GROUP);
    }

    /// Adds this node's own records, which are written at once.
    pub(crate) fn put_own(&mut self, own: OwnRecords, last_sequence: u64) {
        let rows = own.records.iter().map(|record| (Key::from(record), Some(record.clone())));
        self.waiting.extend(rows);
        self.sequence = Some(last_sequence);
        self.own.push(own);
        self.due = Some(Instant::now());
    }

    /// Waits for the end of the commit under way, or for the time to begin one. Waits for ever if there is neither.
    pub(crate) async fn next(&mut self) -> Option<EndedCommit> {
        if let Some(under_way) = &mut self.under_way {
            let ended = under_way.await;
            self.under_way = None;
            // After a panic inside the store, the records of that batch are not on the disk, but the swarm still has
            // them.
            return ended.inspect_err(|error| tracing::error!(%error, "a commit to the disk panicked")).ok();
        }
        match self.due.into_iter().chain(self.renewals.due()).min() {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
        if self.renewals.due().is_some_and(|due| due <= Instant::now()) {
            let renewed = self.renewals.take_lasting(self.time);
            self.take_renewals(renewed);
        }
        if self.due.is_some() {
            self.begin();
        }
        None
    }

    fn take_renewals(&mut self, renewed: Vec<Record>) {
        renewed.into_iter().for_each(|record| self.put(record));
    }

    fn begin(&mut self) {
        self.due = None;
        let (store, own) = (self.store.clone(), std::mem::take(&mut self.own));
        let (sequence, signed_for) = (self.sequence.take(), self.signed_for);
        let mut batch = Batch { sequence, time: self.time, signed_for, ..Batch::default() };
        for (key, change) in std::mem::take(&mut self.waiting) {
            match change {
                Some(record) => batch.put.push(record),
                None => batch.remove.push(key),
            }
        }
        self.under_way = Some(tokio::task::spawn_blocking(move || EndedCommit {
            result: store.write(&batch),
            own,
            batch,
        }));
    }

    /// Queues the refused changes of a commit again; newer changes take precedence. Own records are not queued again,
    /// because their services were notified of the failure. The disk may hold an own record although the commit failed.
    /// Therefore the content that `held_at` returns for the key of each own record is written later.
    pub(crate) fn try_again_later(
        &mut self,
        refused: Batch,
        own: &[OwnRecords],
        held_at: impl Fn(&Key) -> Change,
    ) {
        let removals = refused.remove.into_iter().map(|key| (key, None));
        let changes =
            removals.chain(refused.put.into_iter().map(|record| (Key::from(&record), Some(record))));
        let unsent = own.iter().flat_map(|own| &own.records).map(Key::from);
        // These entries come last, so that they replace the own records at the same keys.
        let changes: BTreeMap<Key, Change> =
            changes.chain(unsent.map(|key| (key.clone(), held_at(&key)))).collect();
        for (key, change) in changes {
            self.waiting.entry(key).or_insert(change);
        }
        self.due.get_or_insert_with(|| Instant::now() + AFTER_FAILURE);
    }

    /// Writes everything that waits, when the daemon stops.
    pub(crate) async fn finish(&mut self) -> Vec<EndedCommit> {
        let mut commits = Vec::new();
        let renewed = self.renewals.take_all();
        self.take_renewals(renewed);
        loop {
            if self.under_way.is_none() {
                if self.due.is_none() {
                    return commits;
                }
                self.begin();
            }
            let ended = self.next().await;
            let failed = ended.as_ref().is_none_or(|ended| ended.result.is_err());
            commits.extend(ended);
            if failed {
                return commits;
            }
        }
    }
}

fn is_at(record: &Record, key: &Key) -> bool {
    record.signer() == key.signer && *record.item() == key.item
}

impl EndedCommit {
    pub(crate) fn into_parts(self) -> (Result<(), WriteError>, Vec<OwnRecords>, Batch) {
        (self.result, self.own, self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::{Data, End, Item, Keypair, Kind, Statement, Validity};
    use store::{Fault, Faults};

    fn record(data: &str, sequence: u64) -> Record {
        let item = Item { bucket: "share/files".parse().unwrap(), data: Data::new(data).unwrap() };
        let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(1), 60)).unwrap();
        Record::sign(statement, &Keypair::from_seed([2; 32]), sequence, End::default())
    }

    /// A disk that can fail, and the changes that wait for it.
    struct Bench {
        _folder: tempfile::TempDir,
        store: Arc<Store>,
        faults: Faults,
        write_behind: WriteBehind,
    }

    impl Bench {
        fn new() -> Self {
            let (folder, faults) = (tempfile::tempdir().unwrap(), Faults::default());
            let file = folder.path().join("records.redb");
            let store = Arc::new(Store::open_with_faults(&file, faults.clone()).unwrap().0);
            Self { _folder: folder, write_behind: WriteBehind::new(store.clone()), store, faults }
        }

        /// Waits for the next commit, and returns whether it succeeded. A failed commit is tried again later.
        async fn commit(&mut self) -> bool {
            let ended = loop {
                if let Some(ended) = self.write_behind.next().await {
                    break ended;
                }
            };
            let (result, own, batch) = ended.into_parts();
            if result.is_err() {
                self.write_behind.try_again_later(batch, &own, |_| None);
            }
            result.is_ok()
        }

        fn on_disk(&self) -> Vec<u64> {
            let loaded = self.store.load().unwrap().records;
            let mut sequences: Vec<u64> = loaded.iter().map(|record| record.signature().sequence).collect();
            sequences.sort_unstable();
            sequences
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refused_changes_are_written_once_the_disk_works() {
        let mut bench = Bench::new();
        let (one, two, gone) = (record("one", 1), record("two", 2), record("gone", 3));
        bench.write_behind.put(gone.clone());
        assert!(bench.commit().await);
        bench.faults.begin(Fault::Full, 0);
        bench.write_behind.put(one);
        bench.write_behind.put(two.clone());
        bench.write_behind.remove(vec![Key::from(&gone)]);
        assert!(!bench.commit().await && !bench.commit().await);
        // Newer changes take precedence over those that are tried again.
        bench.write_behind.put(record("one", 4));
        bench.write_behind.remove(vec![Key::from(&two)]);
        assert!(!bench.commit().await);
        bench.faults.end();
        assert!(bench.commit().await);
        assert_eq!(bench.on_disk(), [4]);
    }

    fn renewal(data: &str, sequence: u64, seconds: u64) -> Record {
        let item = Item { bucket: "share/files".parse().unwrap(), data: Data::new(data).unwrap() };
        let statement = Statement::new(Kind::Propose, item, Validity::starting(Time(1), seconds)).unwrap();
        Record::sign(statement, &Keypair::from_seed([2; 32]), sequence, End::default())
    }

    #[tokio::test(start_paused = true)]
    async fn many_renewals_cause_few_commits() {
        let mut bench = Bench::new();
        bench.write_behind.put(record("one", 1));
        assert!(bench.commit().await);
        let begun = Instant::now();
        for sequence in 2..100 {
            bench.write_behind.renew(renewal("one", sequence, 7200));
            let waited = tokio::time::timeout(Duration::from_secs(10), bench.write_behind.next()).await;
            assert!(waited.is_err(), "a commit after {:?}", begun.elapsed());
        }
        assert_eq!(bench.on_disk(), [1]);
        assert!(bench.commit().await);
        assert_eq!(bench.on_disk(), [99]);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_renewals_are_written_at_the_end_unless_removed() {
        let mut bench = Bench::new();
        bench.write_behind.renew(renewal("one", 1, 100));
        bench.write_behind.renew(renewal("two", 2, 100));
        bench.write_behind.remove(vec![Key::from(&record("two", 3))]);
        let ended = bench.write_behind.finish().await;
        assert!(ended.iter().all(|ended| ended.result.is_ok()));
        assert_eq!(bench.on_disk(), [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn renewals_that_expire_soon_cause_no_commit() {
        let mut bench = Bench::new();
        bench.write_behind.passed(Time(1000));
        bench.write_behind.renew(renewal("one", 1, 1100));
        let waited = tokio::time::timeout(Duration::from_secs(86_400), bench.commit()).await;
        assert!(waited.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_waiting_changes_do_not_grow_while_the_disk_is_full() {
        let mut bench = Bench::new();
        bench.faults.begin(Fault::Full, 0);
        for sequence in 1..10 {
            bench.write_behind.put(record("one", sequence));
            assert!(!bench.commit().await);
        }
        assert_eq!(bench.write_behind.waiting.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn own_records_that_were_refused_do_not_come_back() {
        let mut bench = Bench::new();
        // The disk holds the records although the commit fails, because only the sync fails.
        bench.faults.begin(Fault::Unsynced, 0);
        let (said, _heard) = oneshot::channel();
        bench.write_behind.put_own(OwnRecords { records: vec![record("own", 1)], mark: 0, said }, 1);
        assert!(!bench.commit().await);
        bench.faults.end();
        assert!(bench.commit().await);
        assert!(bench.on_disk().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_own_record_is_not_lost_when_the_earlier_one_is_removed() {
        let mut bench = Bench::new();
        let (said, _heard) = oneshot::channel();
        bench.write_behind.put_own(OwnRecords { records: vec![record("own", 2)], mark: 0, said }, 2);
        bench.write_behind.remove(vec![Key::from(&record("own", 1))]);
        assert!(bench.commit().await);
        assert_eq!(bench.on_disk(), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_own_record_is_not_removed_in_place_of_the_earlier_one() {
        let mut bench = Bench::new();
        let own = record("own", 2);
        let (said, _heard) = oneshot::channel();
        bench.write_behind.put_own(OwnRecords { records: vec![own.clone()], mark: 0, said }, 2);
        bench.write_behind.begin();
        // During the commit, the earlier record about the same item expires. Then the new one is sent.
        bench.write_behind.remove(vec![Key::from(&own)]);
        assert!(bench.commit().await);
        bench.write_behind.is_there(&Key::from(&own));
        assert!(bench.commit().await);
        assert_eq!(bench.on_disk(), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn finishing_ends_although_the_disk_fails() {
        let mut bench = Bench::new();
        bench.faults.begin(Fault::Dead, 0);
        bench.write_behind.put(record("one", 1));
        assert!(!bench.commit().await);
        let ended = bench.write_behind.finish().await;
        assert!(ended.len() == 1 && ended[0].result.is_err());
    }
}
