//! What the local CLI asks about content: add, pin, unpin, throw away, and what there is.

use crate::config::Config;
use crate::works::{Teller, Works};
use control::{Answer, Failure, FailureKind, FileRow, FileState, Freed, PinRow, Pinned, Storage, Waiting};
use ipfs::Cid;
use ipfs::node::{FetchLimits, FetchProgress, Node, PinError};
use ipfs::store::{self, Store, StoreError};
use ipfs::unixfs::{AddError, Content, Format};
use logs::Ledger;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;
use swarm::Swarm;
use tokio::sync::watch;

/// A fetch on which nothing comes for this long is given up.
const STALL: Duration = Duration::from_secs(60);
/// Of smaller blocks than these together a DAG is not made that somebody wants to keep.
const SMALLEST_BLOCK: u64 = 4 * 1024;
/// What is told in one answer: so many rows, and about so many bytes of names.
const PAGE: (usize, usize) = (500, 100_000);
/// The most waiting files that are told.
const MAX_WAITING: usize = 100;
/// Room for a block: when there is less, the store is full.
const SOME_ROOM: u64 = 1024 * 1024;

/// The daemon's content, for the local CLI. A clone is the same.
#[derive(Clone)]
pub(crate) struct Shelf {
    swarm: Swarm,
    node: watch::Receiver<Option<Node>>,
    ledger: watch::Receiver<Option<Ledger>>,
    works: Works,
    max_bytes: u64,
    min_free: u64,
}

impl Shelf {
    pub(crate) fn new(
        swarm: Swarm,
        node: watch::Receiver<Option<Node>>,
        ledger: watch::Receiver<Option<Ledger>>,
        config: &Config,
    ) -> Self {
        let (max_bytes, min_free) = (config.store_max_bytes, config.disk_free_bytes);
        Self { swarm, node, ledger, works: Works::default(), max_bytes, min_free }
    }

    fn node(&self) -> Result<Node, Failure> {
        let starting = || Failure::new(FailureKind::Stopped, "the daemon's IPFS node is starting; try again");
        self.node.borrow().clone().ok_or_else(starting)
    }

    /// Begins to add a file.
    pub(crate) fn add(&self, path: PathBuf, copy: bool) -> Result<Answer, Failure> {
        let node = self.node()?;
        self.works.begin(|teller| add(node, path, copy, teller))
    }

    /// Begins to fetch and pin.
    pub(crate) fn pin(&self, cid: &str) -> Result<Answer, Failure> {
        let (node, cid, shelf) = (self.node()?, parse(cid)?, self.clone());
        self.works.begin(|teller| async move { shelf.fetch_and_pin(node, cid, teller).await })
    }

    async fn fetch_and_pin(self, node: Node, cid: Cid, teller: Teller) -> Result<Answer, Failure> {
        let (progress, told) = watch::channel(FetchProgress::default());
        let max_blocks = usize::try_from(self.max_bytes / SMALLEST_BLOCK).unwrap_or(usize::MAX);
        let max_bytes = self.max_bytes;
        let limits = FetchLimits { max_bytes, max_blocks, stall_timeout: STALL, priority: 0 };
        let providers = logs::providers_of(&self.swarm, vec![cid]).await.map_err(stopped)?.remove(&cid);
        let failed = |error: &dyn std::fmt::Display| Failure::new(FailureKind::Failed, error);
        tokio::select! {
            fetched = node.fetch(cid, providers.unwrap_or_default(), limits, progress) => {
                let _fetched = fetched.map_err(|error| failed(&error))?;
                let pin = node.pin(cid).await.map_err(|error| not_pinned(&error))?;
                Ok(Answer::Pinned(Pinned { cid: cid.to_string(), bytes: pin.bytes }))
            }
            never = tell(told, teller) => match never {},
        }
    }

    pub(crate) async fn look(&self, work: u64) -> Result<Answer, Failure> {
        self.works.look(work).await
    }

    pub(crate) async fn unpin(&self, cid: &str) -> Result<Answer, Failure> {
        let cid = parse(cid)?;
        let unpinned = self.node()?.unpin(cid).await.map_err(|error| not_pinned(&error))?;
        let unknown = format!("{cid} is not pinned; `storage` lists what is");
        if unpinned { Ok(Answer::Done {}) } else { Err(Failure::new(FailureKind::Wrong, unknown)) }
    }

    pub(crate) async fn collect_garbage(&self) -> Result<Answer, Failure> {
        let freed = self.blocking(Store::collect_garbage).await?;
        let store::Freed { blocks, bytes, files } = freed.map_err(|error| disk(&error))?;
        Ok(Answer::Freed(Freed { blocks, bytes, files }))
    }

    pub(crate) async fn storage(&self) -> Result<Answer, Failure> {
        let waiting = self.ledger.borrow().as_ref().map(|ledger| ledger.no_room().borrow().clone());
        let waiting = waiting.unwrap_or_default();
        let store = self.node()?.store().clone();
        let counting = |store: &Store| Ok((store.pins()?.len(), store.incomplete_pins()?.len()));
        let (pins, incomplete_pins) =
            self.blocking(counting).await?.map_err(|error: StoreError| disk(&error))?;
        let (usage, free) = (store.usage(), store.free_bytes().map_err(|error| disk(&error))?);
        let row = |file: &logs::NoRoom| Waiting {
            cid: file.cid.to_string(),
            name: file.name.clone(),
            bytes: file.bytes,
            reason: file.reason.clone(),
        };
        Ok(Answer::Storage(Storage {
            used: usage.used_bytes,
            max: usage.max_bytes,
            blocks: usage.blocks,
            free,
            min_free: self.min_free,
            pins,
            incomplete_pins,
            files: store.files_number(),
            full: store.has_room(SOME_ROOM).err().map(|error| error.to_string()),
            waiting: waiting.iter().take(MAX_WAITING).map(row).collect(),
            waiting_count: waiting.len(),
        }))
    }

    pub(crate) async fn pins(&self, from: usize) -> Result<Answer, Failure> {
        let names = self.names().await?;
        let listed = self.blocking(|store| Ok((store.pins()?, store.incomplete_pins()?))).await?;
        let (pins, incomplete) = listed.map_err(|error: StoreError| disk(&error))?;
        let incomplete: BTreeSet<Cid> = incomplete.into_iter().collect();
        let row = |pin: store::Pin| PinRow {
            name: names.get(&pin.root).cloned(),
            is_whole: !incomplete.contains(&pin.root),
            cid: pin.root.to_string(),
            time: pin.time,
            bytes: pin.bytes,
        };
        let rows = pins.into_iter().skip(from).map(row);
        Ok(Answer::Pins { pins: page(rows, |row| row.name.as_ref().map_or(0, String::len)) })
    }

    pub(crate) async fn files(&self, from: usize) -> Result<Answer, Failure> {
        let files = self.blocking(move |store| store.files(from, PAGE.0)).await?;
        Ok(Answer::Files { files: page(files.into_iter().map(file_row), |row| row.path.len()) })
    }

    /// What is called how in the swarm, and in the ledger.
    async fn names(&self) -> Result<BTreeMap<Cid, String>, Failure> {
        let reading = |set: &dcache::Set, now| {
            let named = logs::index(set, now).into_values();
            named.filter_map(|file| Some((file.cid, file.description?.filename))).collect()
        };
        let mut names: BTreeMap<Cid, String> = self.swarm.read(reading).await.map_err(stopped)?;
        let kept = self.ledger.borrow().as_ref().map(Ledger::kept).unwrap_or_default();
        names.extend(kept.into_iter().map(|(cid, description)| (cid, description.filename)));
        Ok(names)
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let store = self.node()?.store().clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(|_| Failure::new(FailureKind::Disk, "the daemon's worker died"))
    }
}

async fn add(node: Node, path: PathBuf, copy: bool, teller: Teller) -> Result<Answer, Failure> {
    let refused = |error: &dyn std::fmt::Display| Failure::new(FailureKind::Failed, error);
    let unreadable = |error| refused(&AddError::Read(path.clone(), error));
    if !path.is_absolute() {
        return Err(Failure::new(FailureKind::Wrong, "the path of the file is not absolute"));
    }
    // Whoever names the file may do so by a link; served is what it leads to.
    let real = path.canonicalize().map_err(unreadable)?;
    let metadata = real.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(refused(&format!("{} is no file", path.display())));
    }
    let content = if copy { Content::File(real) } else { Content::InPlace(real) };
    let (progress, mut told) = watch::channel(0);
    let showing = async {
        while told.changed().await.is_ok() {
            teller.tell(*told.borrow_and_update(), Some(metadata.len()));
        }
        std::future::pending::<std::convert::Infallible>().await
    };
    tokio::select! {
        added = node.add_file(content, Format::V1, progress) => {
            let added = added.map_err(|error| refused(&error))?;
            let pin = node.pin(added.root).await.map_err(|error| not_pinned(&error))?;
            Ok(Answer::Pinned(Pinned { cid: added.root.to_string(), bytes: pin.bytes }))
        }
        never = showing => match never {},
    }
}

async fn tell(mut told: watch::Receiver<FetchProgress>, teller: Teller) -> std::convert::Infallible {
    while told.changed().await.is_ok() {
        let FetchProgress { bytes, claimed_bytes, .. } = *told.borrow_and_update();
        teller.tell(bytes, claimed_bytes);
    }
    std::future::pending().await
}

/// As many rows as fit into an answer, one at least.
fn page<T>(rows: impl Iterator<Item = T>, bytes: impl Fn(&T) -> usize) -> Vec<T> {
    let mut sum = 0;
    let fits = rows.take(PAGE.0).take_while(|row| {
        let is_first = sum == 0;
        sum += 1 + bytes(row);
        is_first || sum <= PAGE.1
    });
    fits.collect()
}

fn file_row(file: store::ReferencedFile) -> FileRow {
    FileRow {
        path: file.path.to_string_lossy().into_owned(),
        bytes: file.length,
        blocks: file.blocks,
        missing_blocks: file.missing_blocks,
        state: match file.state {
            store::FileState::Matches => FileState::Matches,
            store::FileState::Changed => FileState::Changed,
            store::FileState::Gone => FileState::Gone,
        },
    }
}

fn parse(cid: &str) -> Result<Cid, Failure> {
    cid.parse().map_err(|error| Failure::new(FailureKind::Wrong, format!("{cid} is no CID: {error}")))
}

fn not_pinned(error: &PinError) -> Failure {
    Failure::new(FailureKind::Disk, error)
}

fn disk(error: &StoreError) -> Failure {
    Failure::new(FailureKind::Disk, error)
}

fn stopped(error: swarm::Stopped) -> Failure {
    Failure::new(FailureKind::Stopped, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_ends_before_it_is_too_large_and_is_never_empty() {
        let lengths = |given: &[usize]| page(given.iter().copied(), |length| *length).len();
        assert_eq!(lengths(&[]), 0);
        assert_eq!(lengths(&[10; 2000]), PAGE.0);
        assert_eq!(lengths(&[PAGE.1 / 2, PAGE.1 / 3, PAGE.1 / 3]), 2);
        assert_eq!(lengths(&[2 * PAGE.1, 1]), 1);
    }
}
