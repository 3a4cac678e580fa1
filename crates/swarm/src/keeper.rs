//! Keeping: what goes to the disk, in groups, one commit at a time.

use dcache::{Key, Record, Time};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use store::{Batch, Store, WriteError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::handle::SayError;

/// How long what others said may wait for a commit.
const GROUP: Duration = Duration::from_secs(2);
/// How long to wait after the disk refused.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// This node's own words, to be told once they are on the disk.
pub(crate) struct Own {
    pub(crate) records: Vec<Record>,
    pub(crate) said: oneshot::Sender<Result<(), SayError>>,
}

/// A commit that ended.
pub(crate) struct Kept {
    pub(crate) result: Result<(), WriteError>,
    pub(crate) own: Vec<Own>,
    batch: Batch,
}

/// What is to stand at a key: a record, or none.
pub(crate) type Change = Option<Record>;

/// What waits for the disk, and the commit under way.
pub(crate) struct Keeper {
    store: Arc<Store>,
    /// One change a key, the latest: the disk may refuse for days, and what waits must not grow with every word.
    waiting: BTreeMap<Key, Change>,
    /// The last sequence number of the own words that wait.
    sequence: Option<u64>,
    /// A time that has passed.
    time: Option<Time>,
    own: Vec<Own>,
    due: Option<Instant>,
    under_way: Option<JoinHandle<Kept>>,
}

impl Keeper {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            waiting: BTreeMap::new(),
            sequence: None,
            time: None,
            own: Vec::new(),
            due: None,
            under_way: None,
        }
    }

    /// A record of somebody else, or an own one that came back.
    pub(crate) fn put(&mut self, record: Record) {
        self.change(Key::from(&record), Some(record));
    }

    /// What stands at `key` is on the disk, and is not to be removed for what stood there before.
    pub(crate) fn is_there(&mut self, key: &Key) {
        if let Some(None) = self.waiting.get(key) {
            self.waiting.remove(key);
        }
    }

    /// Notes a time that has passed; it gets to the disk with the next commit.
    pub(crate) fn passed(&mut self, time: Time) {
        self.time = Some(time);
    }

    pub(crate) fn remove(&mut self, keys: Vec<Key>) {
        keys.into_iter().for_each(|key| self.change(key, None));
    }

    /// That the disk is to have this at `key`.
    pub(crate) fn change(&mut self, key: Key, change: Change) {
        // An own word that waits must get to the disk, whatever happens to what stood there before it.
        if !self.own.iter().any(|own| own.records.iter().any(|record| is_at(record, &key))) {
            self.waiting.insert(key, change);
        }
        self.due.get_or_insert_with(|| Instant::now() + GROUP);
    }

    /// This node's own words, which cannot wait.
    pub(crate) fn put_own(&mut self, own: Own, last_sequence: u64) {
        let rows = own.records.iter().map(|record| (Key::from(record), Some(record.clone())));
        self.waiting.extend(rows);
        self.sequence = Some(last_sequence);
        self.own.push(own);
        self.due = Some(Instant::now());
    }

    /// The end of the commit under way, or the time to begin one; waits for ever when there is neither.
    pub(crate) async fn next(&mut self) -> Option<Kept> {
        if let Some(under_way) = &mut self.under_way {
            let ended = under_way.await;
            self.under_way = None;
            // A panic inside the store: what was in that batch is lost to the disk, not to the swarm.
            return ended.inspect_err(|error| tracing::error!(%error, "a commit died")).ok();
        }
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
        self.begin();
        None
    }

    fn begin(&mut self) {
        self.due = None;
        let (store, own) = (self.store.clone(), std::mem::take(&mut self.own));
        let mut batch = Batch { sequence: self.sequence.take(), time: self.time, ..Batch::default() };
        for (key, change) in std::mem::take(&mut self.waiting) {
            match change {
                Some(record) => batch.put.push(record),
                None => batch.remove.push(key),
            }
        }
        self.under_way =
            Some(tokio::task::spawn_blocking(move || Kept { result: store.write(&batch), own, batch }));
    }

    /// Puts what the disk refused back in line, behind what has come since. Own words, whose speakers have been told,
    /// are not among it: there the disk is to have what `standing` says, in case that it took them nevertheless.
    pub(crate) fn try_again_later(&mut self, kept: Batch, own: &[Own], standing: impl Fn(&Key) -> Change) {
        let refused = kept.remove.into_iter().map(|key| (key, None));
        let refused = refused.chain(kept.put.into_iter().map(|record| (Key::from(&record), Some(record))));
        let unsaid = own.iter().flat_map(|own| &own.records).map(Key::from);
        // What stands at the keys of own words comes last, so that it replaces these.
        let refused: BTreeMap<Key, Change> =
            refused.chain(unsaid.map(|key| (key.clone(), standing(&key)))).collect();
        for (key, change) in refused {
            self.waiting.entry(key).or_insert(change);
        }
        self.due.get_or_insert_with(|| Instant::now() + AFTER_FAILURE);
    }

    /// Writes everything that waits; for the end of the daemon.
    pub(crate) async fn finish(&mut self) -> Vec<Kept> {
        let mut ended = Vec::new();
        loop {
            if self.under_way.is_none() {
                if self.due.is_none() {
                    return ended;
                }
                self.begin();
            }
            let kept = self.next().await;
            let failed = kept.as_ref().is_none_or(|kept| kept.result.is_err());
            ended.extend(kept);
            if failed {
                return ended;
            }
        }
    }
}

fn is_at(record: &Record, key: &Key) -> bool {
    record.signer() == key.signer && *record.item() == key.item
}

impl Kept {
    pub(crate) fn into_parts(self) -> (Result<(), WriteError>, Vec<Own>, Batch) {
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

    /// A keeper on a disk that can fail, and what is on that disk.
    struct Bench {
        _folder: tempfile::TempDir,
        store: Arc<Store>,
        faults: Faults,
        keeper: Keeper,
    }

    impl Bench {
        fn new() -> Self {
            let (folder, faults) = (tempfile::tempdir().unwrap(), Faults::default());
            let file = folder.path().join("records.redb");
            let store = Arc::new(Store::open_with_faults(&file, faults.clone()).unwrap().0);
            Self { _folder: folder, keeper: Keeper::new(store.clone()), store, faults }
        }

        /// Waits for the next commit, and tells whether it succeeded; a failed one is to be tried again.
        async fn commit(&mut self) -> bool {
            let kept = loop {
                if let Some(kept) = self.keeper.next().await {
                    break kept;
                }
            };
            let (result, own, batch) = kept.into_parts();
            if result.is_err() {
                self.keeper.try_again_later(batch, &own, |_| None);
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
    async fn what_the_disk_refused_is_written_once_it_works() {
        let mut bench = Bench::new();
        let (one, two, gone) = (record("one", 1), record("two", 2), record("gone", 3));
        bench.keeper.put(gone.clone());
        assert!(bench.commit().await);
        bench.faults.begin(Fault::Full, 0);
        bench.keeper.put(one);
        bench.keeper.put(two.clone());
        bench.keeper.remove(vec![Key::from(&gone)]);
        assert!(!bench.commit().await && !bench.commit().await);
        // What comes meanwhile counts more than what is tried again.
        bench.keeper.put(record("one", 4));
        bench.keeper.remove(vec![Key::from(&two)]);
        assert!(!bench.commit().await);
        bench.faults.end();
        assert!(bench.commit().await);
        assert_eq!(bench.on_disk(), [4]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_does_not_grow_while_the_disk_is_full() {
        let mut bench = Bench::new();
        bench.faults.begin(Fault::Full, 0);
        for sequence in 1..10 {
            bench.keeper.put(record("one", sequence));
            assert!(!bench.commit().await);
        }
        assert_eq!(bench.keeper.waiting.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn own_words_that_were_refused_do_not_come_back() {
        let mut bench = Bench::new();
        // The disk may have taken them nevertheless: it failed only at the very end.
        bench.faults.begin(Fault::Unsynced, 0);
        let (said, _heard) = oneshot::channel();
        bench.keeper.put_own(Own { records: vec![record("own", 1)], said }, 1);
        assert!(!bench.commit().await);
        bench.faults.end();
        assert!(bench.commit().await);
        assert!(bench.on_disk().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_own_word_that_waits_is_not_lost_when_the_one_before_it_goes() {
        let mut bench = Bench::new();
        let (said, _heard) = oneshot::channel();
        bench.keeper.put_own(Own { records: vec![record("own", 2)], said }, 2);
        bench.keeper.remove(vec![Key::from(&record("own", 1))]);
        assert!(bench.commit().await);
        assert_eq!(bench.on_disk(), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_own_word_is_not_removed_for_what_stood_there_before() {
        let mut bench = Bench::new();
        let own = record("own", 2);
        let (said, _heard) = oneshot::channel();
        bench.keeper.put_own(Own { records: vec![own.clone()], said }, 2);
        bench.keeper.begin();
        // While the disk works, the earlier word about the same ends; then the new one is told.
        bench.keeper.remove(vec![Key::from(&own)]);
        assert!(bench.commit().await);
        bench.keeper.is_there(&Key::from(&own));
        assert!(bench.commit().await);
        assert_eq!(bench.on_disk(), [2]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_comes_although_the_disk_fails() {
        let mut bench = Bench::new();
        bench.faults.begin(Fault::Dead, 0);
        bench.keeper.put(record("one", 1));
        assert!(!bench.commit().await);
        let kept = bench.keeper.finish().await;
        assert!(kept.len() == 1 && kept[0].result.is_err());
    }
}
