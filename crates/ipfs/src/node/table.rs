//! The table of running fetches, for display.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cid::Cid;
use libp2p::PeerId;
use tokio::sync::watch;
use tokio::time::Instant;

use super::fetch_types::FetchProgress;
use super::meter::Meter;
use super::obstacle::Obstacle;

/// Maximum number of peers of one fetch that are listed separately. Bytes from further peers count only in the total.
const MAX_SOURCES: usize = 64;
/// Maximum length of a name in characters.
const MAX_NAME: usize = 255;

/// A fetch that runs or waits for a free slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningFetch {
    /// Number of the fetch; never reused.
    pub number: u64,
    /// Name that the caller gave to the fetch; may be empty.
    pub name: String,
    /// Root of the DAG that is fetched.
    pub root: Cid,
    /// Priority; a higher one is served first.
    pub priority: i32,
    /// Time since the fetch began.
    pub age: Duration,
    /// Progress of the fetch.
    pub progress: FetchProgress,
    /// Bytes received from peers: in total, and per second in the last seconds.
    pub received: (u64, u64),
    /// The peers that sent blocks, the fastest in the last seconds first.
    pub sources: Vec<Source>,
}

/// A peer that sent blocks of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Peer ID of the sender.
    pub peer: PeerId,
    /// Total number of received bytes.
    pub bytes: u64,
    /// Bytes per second in the last seconds.
    pub rate: u64,
}

/// All fetches of a node, with the last number.
#[derive(Debug, Default)]
pub(super) struct Fetches {
    table: Mutex<(u64, BTreeMap<u64, Arc<Row>>)>,
}

#[derive(Debug)]
struct Row {
    name: String,
    root: Cid,
    priority: i32,
    begun: Instant,
    progress: watch::Sender<FetchProgress>,
    meters: Mutex<Meters>,
}

#[derive(Debug, Default)]
struct Meters {
    all: Meter,
    sources: BTreeMap<PeerId, Meter>,
}

/// A row in the table. Dropping this value removes the row.
#[derive(Debug)]
pub(super) struct Entry {
    fetches: Arc<Fetches>,
    number: u64,
    row: Arc<Row>,
}

impl Fetches {
    pub(super) fn enter(
        self: &Arc<Self>,
        name: &str,
        root: Cid,
        priority: i32,
        progress: watch::Sender<FetchProgress>,
    ) -> Entry {
        let (name, begun) = (name.chars().take(MAX_NAME).collect(), Instant::now());
        let row = Arc::new(Row { name, root, priority, begun, progress, meters: Mutex::default() });
        let mut table = lock(&self.table);
        table.0 += 1;
        let number = table.0;
        table.1.insert(number, Arc::clone(&row));
        Entry { fetches: Arc::clone(self), number, row }
    }

    pub(super) fn list(&self) -> Vec<RunningFetch> {
        lock(&self.table).1.iter().map(|(number, row)| row.show(*number)).collect()
    }
}

impl Row {
    fn show(&self, number: u64) -> RunningFetch {
        let mut meters = lock(&self.meters);
        let received = meters.all.read();
        let source = |(peer, meter): (&PeerId, &mut Meter)| {
            let (bytes, rate) = meter.read();
            Source { peer: *peer, bytes, rate }
        };
        let mut sources: Vec<Source> = meters.sources.iter_mut().map(source).collect();
        sources.sort_by_key(|source| std::cmp::Reverse((source.rate, source.bytes)));
        RunningFetch {
            number,
            name: self.name.clone(),
            root: self.root,
            priority: self.priority,
            age: self.begun.elapsed(),
            progress: *self.progress.borrow(),
            received,
            sources,
        }
    }
}

impl Entry {
    /// Counts a received block.
    pub(super) fn came(&self, from: PeerId, bytes: usize) {
        let mut meters = lock(&self.row.meters);
        meters.all.count(bytes as u64);
        if meters.sources.len() < MAX_SOURCES || meters.sources.contains_key(&from) {
            meters.sources.entry(from).or_default().count(bytes as u64);
        }
    }

    /// Changes the reported progress.
    pub(super) fn tell(&self, change: impl FnOnce(&mut FetchProgress)) {
        self.row.progress.send_modify(change);
    }

    /// Sets or clears the reported obstacle.
    pub(super) fn tell_obstacle(&self, obstacle: Option<Obstacle>) {
        self.row
            .progress
            .send_if_modified(|progress| std::mem::replace(&mut progress.obstacle, obstacle) != obstacle);
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.fetches.table).1.remove(&self.number);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is a single call that leaves the value consistent, so a poisoned lock is safe to use.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
