//! Keeping: what goes to the disk, in groups, one commit at a time.

use dcache::{Key, Record, Time};
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

/// What waits for the disk, and the commit under way.
pub(crate) struct Keeper {
    store: Arc<Store>,
    waiting: Batch,
    own: Vec<Own>,
    due: Option<Instant>,
    under_way: Option<JoinHandle<Kept>>,
}

impl Keeper {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, waiting: Batch::default(), own: Vec::new(), due: None, under_way: None }
    }

    /// A record of somebody else, or an own one that came back.
    pub(crate) fn put(&mut self, record: Record, forget: Option<Time>) {
        self.waiting.put.push((record, forget));
        self.due.get_or_insert_with(|| Instant::now() + GROUP);
    }

    pub(crate) fn remove(&mut self, keys: Vec<Key>) {
        // In a batch what is put wins, so what was put before and is removed now must not be put.
        self.waiting.put.retain(|(record, _)| {
            !keys.iter().any(|key| key.signer == record.signer() && key.item == *record.item())
        });
        self.waiting.remove.extend(keys);
        self.due.get_or_insert_with(|| Instant::now() + GROUP);
    }

    /// This node's own words, which cannot wait.
    pub(crate) fn put_own(&mut self, own: Own, last_sequence: u64) {
        let rows = own.records.iter().map(|record| (record.clone(), record.validity().until()));
        self.waiting.put.extend(rows);
        self.waiting.sequence = Some(last_sequence);
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
        let (store, batch, own) =
            (self.store.clone(), std::mem::take(&mut self.waiting), std::mem::take(&mut self.own));
        self.under_way =
            Some(tokio::task::spawn_blocking(move || Kept { result: store.write(&batch), own, batch }));
    }

    /// Puts what the disk refused back in line, but for own words, whose speakers have been told.
    pub(crate) fn try_again_later(&mut self, kept: Batch, own: &[Own]) {
        let is_own = |record: &Record| own.iter().any(|own| own.records.contains(record));
        let again = kept.put.into_iter().filter(|(record, _)| !is_own(record));
        self.waiting.put.splice(0..0, again);
        self.waiting.remove.splice(0..0, kept.remove);
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

impl Kept {
    pub(crate) fn into_parts(self) -> (Result<(), WriteError>, Vec<Own>, Batch) {
        (self.result, self.own, self.batch)
    }
}
