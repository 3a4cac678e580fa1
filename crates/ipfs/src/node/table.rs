//! The fetches that run, for whoever wants to see them.
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

/// The most peers of one fetch that are told apart; what comes from others counts for the whole only.
const MAX_SOURCES: usize = 64;
/// The most characters of a name.
const MAX_NAME: usize = 255;

/// A fetch that runs, or waits for its turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningFetch {
    /// Which; never used again for another.
    pub number: u64,
    /// What whoever began it calls it; may be empty.
    pub name: String,
    /// What is fetched.
    pub root: Cid,
    /// What has a higher one comes first.
    pub priority: i32,
    /// For how long already.
    pub age: Duration,
    /// How far it is.
    pub progress: FetchProgress,
    /// Bytes that came from peers, and in a second lately.
    pub received: (u64, u64),
    /// From whom, those first who sent most lately.
    pub sources: Vec<Source>,
}

/// Somebody from whom something of it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Who.
    pub peer: PeerId,
    /// Bytes.
    pub bytes: u64,
    /// Bytes in a second lately.
    pub rate: u64,
}

/// All fetches of a node.
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

/// A place in the table, for as long as it lives.
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
    /// Counts a block that came.
    pub(super) fn came(&self, from: PeerId, bytes: usize) {
        let mut meters = lock(&self.row.meters);
        meters.all.count(bytes as u64);
        if meters.sources.len() < MAX_SOURCES || meters.sources.contains_key(&from) {
            meters.sources.entry(from).or_default().count(bytes as u64);
        }
    }

    /// Changes what is told of how far it is.
    pub(super) fn tell(&self, change: impl FnOnce(&mut FetchProgress)) {
        self.row.progress.send_modify(change);
    }

    /// Tells what keeps it from going on, or that nothing does.
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
    // What is inside is changed by single calls that leave it whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
