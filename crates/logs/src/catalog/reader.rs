//! The I/O shell that fetches and reads the catalogues of other robots.

use super::fetch_order::FetchOrder;
use super::format::{CatalogEntries, CatalogError, CatalogReader, MAX_BYTES};
use super::known::{CatalogVersion, Catalogs, CatalogsFull, Precedence, least_memory_of, memory_of};
use super::rows::{CatalogRows, Pinned};
use super::search::{CatalogSearch, Found};
use super::shared::SharedCatalogs;
use dcache::{BucketPath, PeerId, buckets};
use ipfs::Cid;
use ipfs::node::{FetchError, FetchLimits, Node, Obstacle, PinError};
use ipfs::unixfs::{ReadError, read_through};
use service::DecisionLoop;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;
use store::TableError;
use swarm::{Stopped, Swarm};
use tokio::sync::watch;
use tokio::time::Instant;

/// Time in which arriving records are gathered for one decision.
const GATHER: Duration = Duration::from_secs(1);
/// Time without a block after which a fetch fails and is retried later.
const STALL: Duration = Duration::from_secs(30);
/// Time for which one catalogue is fetched at a stretch. Then other catalogues come first, and the fetch goes on later: a
/// robot that sends its catalogue slowly must not keep this node from reading the others.
const TURN: Duration = Duration::from_secs(15);
/// Number of bytes that are allowed beside the content, for the links to the pieces.
const OVERHEAD: u64 = 1 << 20;
/// Maximum number of blocks of a catalogue: its pieces have at least 4 KiB.
const MAX_BLOCKS: usize = 10_000;
/// Time after the end of a robot's record until its catalogue is forgotten. The record may come back when the clock of
/// this node is set.
const FORGET: Duration = Duration::from_secs(600);

/// Error that ends the reader.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReaderError {
    /// The table of pinned catalogues cannot be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Reason why a catalogue was not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("it takes longer than {} s, and goes on later", TURN.as_secs())]
    Slow,
    #[error(transparent)]
    Blocks(#[from] ReadError),
    #[error(transparent)]
    Content(#[from] CatalogError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error(transparent)]
    CatalogsFull(#[from] CatalogsFull),
    #[error(transparent)]
    Table(#[from] TableError),
}

/// Reads a catalogue whose blocks are in the store. The hash of each block is verified.
///
/// # Errors
/// When a block is missing, or the content is not that of a catalogue.
pub(crate) async fn read_catalog(node: &Node, root: Cid) -> Result<CatalogEntries, CatalogFault> {
    let store = node.store().clone();
    let reading = move || {
        let mut reader = CatalogReader::default();
        read_through(&store, &root, "", MAX_BYTES, &mut |piece| -> Result<(), CatalogFault> {
            Ok(reader.read(piece)?)
        })?;
        Ok(reader.finish()?)
    };
    let read = tokio::task::spawn_blocking(reading).await;
    read.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

struct Reader {
    swarm: Swarm,
    node: Node,
    catalogs: SharedCatalogs,
    rows: CatalogRows,
    decisions: DecisionLoop<CatalogSearch>,
    order: FetchOrder,
    started: Instant,
    /// The pinned versions of other robots.
    pinned: BTreeMap<PeerId, Pinned>,
    /// Catalogues whose content was refused. They are not fetched again.
    refused: BTreeMap<PeerId, Cid>,
    /// When each robot was first found without a record.
    gone: BTreeMap<PeerId, Instant>,
}

fn is_of_interest(bucket: &BucketPath) -> bool {
    buckets::CATALOG.contains(bucket) || buckets::IPFS_ADDRESSES.contains(bucket)
}

/// Fetches and reads the catalogues of other robots until the future is dropped.
///
/// # Errors
/// When the table of pinned catalogues cannot be read or written.
pub(crate) async fn run_reader(
    (swarm, node): (Swarm, Node),
    catalogs: SharedCatalogs,
    rows: CatalogRows,
) -> Result<Infallible, ReaderError> {
    let mut pinned = rows.read_async().await?;
    pinned.remove(&swarm.me());
    let search = CatalogSearch::new(swarm.me());
    let decisions = DecisionLoop::new(swarm.clone(), search, is_of_interest, GATHER);
    let (order, started) = (FetchOrder::default(), Instant::now());
    let (refused, gone) = (BTreeMap::new(), BTreeMap::new());
    let mut reader = Reader { swarm, node, catalogs, rows, decisions, order, started, pinned, refused, gone };
    reader.restore().await?;
    reader.run().await
}

impl Reader {
    /// Reads the catalogues that were pinned before the start.
    async fn restore(&mut self) -> Result<(), ReaderError> {
        let pins = self.node.pins().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the pins cannot be read, so the catalogues of other robots are pinned again");
            Vec::new()
        });
        let is_pinned: BTreeSet<Cid> = pins.iter().map(|pin| pin.root).collect();
        for (robot, before) in std::mem::take(&mut self.pinned) {
            let Some((root, entries)) = self.first_readable(robot, &before.roots).await else {
                self.keep(robot, Pinned::default(), before).await?;
                continue;
            };
            // The sequence number belongs to the newest version. All records of the robot are later than an older one.
            let sequence = if before.roots.first() == Some(&root) { before.sequence } else { 0 };
            let pinned = Pinned { roots: vec![root], sequence };
            if before == pinned && is_pinned.contains(&root) {
                self.pinned.insert(robot, pinned);
            } else {
                // The daemon ended while a version was pinned.
                if let Err(error) = self.node.pin(root).await {
                    tracing::warn!(%robot, %error, "the catalogue of another robot could not be pinned");
                }
                self.keep(robot, pinned, before).await?;
            }
            self.take(robot, CatalogVersion { root, sequence }, entries).await;
        }
        Ok(())
    }

    /// Reads the first of these versions of a catalogue whose blocks are in the store.
    async fn first_readable(&self, robot: PeerId, roots: &[Cid]) -> Option<(Cid, CatalogEntries)> {
        for root in roots {
            match read_catalog(&self.node, *root).await {
                Ok(entries) => return Some((*root, entries)),
                Err(error) => {
                    tracing::warn!(%robot, %root, %error, "a version of another robot's catalogue cannot be read");
                }
            }
        }
        None
    }

    async fn run(&mut self) -> Result<Infallible, ReaderError> {
        loop {
            let found = self.find().await?;
            self.note_renewed(&found).await;
            self.forget(&found).await?;
            let unread = self.unread(&found);
            let now = self.started.elapsed();
            if let Some(next) = self.order.next(&unread, now) {
                self.read(next.clone()).await?;
                continue;
            }
            let wake = self.order.wake(&unread).map(|wake| self.started + wake);
            tokio::select! {
                () = self.decisions.changed() => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    async fn find(&mut self) -> Result<Vec<Found>, ReaderError> {
        let current = self.catalogs.current();
        let read = current.versions().map(|(robot, version)| (robot, version.root)).collect();
        self.decisions.decider().set_read(read);
        self.decisions.decide().await?;
        let found = self.decisions.decider().found();
        self.order.retain(&found);
        self.refused.retain(|robot, _| found.iter().any(|found| found.robot == *robot));
        Ok(found)
    }

    /// Notes later records that name a version that was read.
    async fn note_renewed(&self, found: &[Found]) {
        let current = self.catalogs.current();
        for found in found {
            let (robot, precedence) = (found.robot, found.precedence());
            let version = CatalogVersion { root: found.catalog.root, sequence: found.sequence };
            let before = current.version(robot).filter(|before| before.root == version.root);
            let is_other = |before| before != version || current.precedence(robot) != Some(precedence);
            if before.is_some_and(is_other) {
                let change = move |catalogs: &Catalogs| {
                    Ok::<_, Infallible>(catalogs.renewed(robot, version, precedence))
                };
                let Ok(()) = self.catalogs.update(change).await;
            }
        }
    }

    /// Returns the catalogues that were not read yet and not refused.
    fn unread(&self, found: &[Found]) -> Vec<Found> {
        let current = self.catalogs.current();
        let is_read = |found: &&Found| {
            current.version(found.robot).is_some_and(|version| version.root == found.catalog.root)
        };
        let is_refused = |found: &&Found| self.refused.get(&found.robot) == Some(&found.catalog.root);
        found.iter().filter(|found| !is_read(found) && !is_refused(found)).cloned().collect()
    }

    async fn read(&mut self, found: Found) -> Result<(), ReaderError> {
        let (robot, root) = (found.robot, found.catalog.root);
        match self.try_to_read(found).await {
            Ok(files) => {
                tracing::debug!(%robot, files, "the catalogue of another robot was read");
                self.order.note_read(robot, self.started.elapsed());
            }
            Err(CatalogFault::Table(error)) => return Err(error.into()),
            Err(CatalogFault::Content(error)) => {
                tracing::warn!(%robot, %root, %error, "the catalogue of another robot is not valid and not read");
                self.refused.insert(robot, root);
            }
            Err(CatalogFault::Slow) => {
                tracing::debug!(%robot, %root, "the catalogue of another robot is fetched slowly");
                self.order.note_slow(robot, self.started.elapsed());
            }
            Err(error) => {
                let again_in = self.order.note_failed(robot, self.started.elapsed());
                tracing::debug!(%robot, %root, %error, ?again_in, "the catalogue of another robot could not be read");
            }
        }
        Ok(())
    }

    /// Fetches, reads and pins a catalogue. Returns the number of its files.
    async fn try_to_read(&mut self, found: Found) -> Result<usize, CatalogFault> {
        let precedence = found.precedence();
        let Found { robot, catalog, sequence, providers, .. } = found;
        // Nothing is fetched for a catalogue that does not fit.
        self.catalogs.current().left_out(robot, precedence, least_memory_of(catalog.files))?;
        let max_bytes = catalog.bytes.saturating_add(OVERHEAD);
        let limits = FetchLimits { max_bytes, max_blocks: MAX_BLOCKS, stall_timeout: STALL, priority: 0 };
        let (_unchanging, providers) = watch::channel(providers.unwrap_or_default());
        let (name, progress) = (format!("catalogue of {robot}"), watch::Sender::default());
        let mut begun = progress.subscribe();
        let fetch = self.node.fetch_from(&name, catalog.root, providers, limits, progress);
        let turn = async {
            // The time in which the fetch waits for a free place does not count. At the end of the fetch the sender is gone.
            let _ = begun.wait_for(|progress| progress.obstacle != Some(Obstacle::Queued)).await;
            tokio::time::sleep(TURN).await;
        };
        // The fetch is polled first, so that it says at once that it waits.
        let fetched = tokio::select! {
            biased;
            fetched = fetch => fetched?,
            () = turn => return Err(CatalogFault::Slow),
        };
        let entries = read_catalog(&self.node, catalog.root).await?;
        let files = entries.len();
        self.catalogs.current().left_out(robot, precedence, memory_of(&entries))?;
        let former = self.pinned.get(&robot).cloned().unwrap_or_default();
        // The version is pinned before its files are listed, so that they stay listed after a power cut. Its row is
        // written before the pin: after a crash, each pinned version must have a row.
        let roots = [catalog.root].into_iter().chain(former.roots.iter().copied()).collect();
        self.rows.write(robot, &Pinned { roots, sequence }).await?;
        let version = CatalogVersion { root: catalog.root, sequence };
        let listed = self.pin_and_list(robot, version, precedence, entries).await;
        drop(fetched);
        let new = Pinned { roots: vec![catalog.root], sequence };
        let (kept, other) = if listed.is_ok() { (new, former) } else { (former, new) };
        self.keep(robot, kept, other).await?;
        listed?;
        self.unpin_left_out().await?;
        Ok(files)
    }

    async fn pin_and_list(
        &self,
        robot: PeerId,
        version: CatalogVersion,
        precedence: Precedence,
        entries: CatalogEntries,
    ) -> Result<(), CatalogFault> {
        self.node.pin(version.root).await?;
        let with = move |catalogs: &Catalogs| catalogs.with(robot, version, precedence, entries);
        Ok(self.catalogs.update(with).await?)
    }

    /// Keeps these versions of a robot's catalogue, and unpins other ones. Their row is changed last: see `try_to_read`.
    async fn keep(&mut self, robot: PeerId, kept: Pinned, other: Pinned) -> Result<(), TableError> {
        self.unpin(other.roots.into_iter().filter(|root| !kept.roots.contains(root)).collect()).await;
        self.rows.write(robot, &kept).await?;
        if kept.roots.is_empty() {
            self.pinned.remove(&robot);
        } else {
            self.pinned.insert(robot, kept);
        }
        Ok(())
    }

    /// Unpins the catalogues that were left out for others. They are tried again later.
    async fn unpin_left_out(&mut self) -> Result<(), TableError> {
        let current = self.catalogs.current();
        let left_out = self.pinned.extract_if(.., |robot, _| current.version(*robot).is_none());
        for (robot, pinned) in left_out.collect::<Vec<_>>() {
            tracing::warn!(%robot, error = %CatalogsFull, "the catalogue of another robot is not listed any more");
            self.order.note_failed(robot, self.started.elapsed());
            self.keep(robot, Pinned::default(), pinned).await?;
        }
        Ok(())
    }

    /// Lists a catalogue that was pinned before the start. Whether the robot is a member is known when its record is found.
    async fn take(&self, robot: PeerId, version: CatalogVersion, entries: CatalogEntries) {
        let with = move |catalogs: &Catalogs| catalogs.with(robot, version, Precedence::Stranger, entries);
        let taken = self.catalogs.update(with).await;
        if let Err(error) = taken {
            tracing::warn!(%robot, %error, "the catalogue of another robot is not listed here");
        }
    }

    /// Forgets the catalogues of robots that have had no record for a while.
    async fn forget(&mut self, found: &[Found]) -> Result<(), ReaderError> {
        let (me, now) = (self.swarm.me(), Instant::now());
        let is_found = |robot: &PeerId| found.iter().any(|found| found.robot == *robot);
        self.gone.retain(|robot, _| !is_found(robot));
        let known: Vec<PeerId> = self.catalogs.current().versions().map(|(robot, _)| robot).collect();
        for robot in known.into_iter().filter(|robot| *robot != me && !is_found(robot)) {
            if *self.gone.entry(robot).or_insert(now) + FORGET > now {
                continue;
            }
            self.gone.remove(&robot);
            let change = move |catalogs: &Catalogs| Ok::<_, Infallible>(catalogs.without(robot));
            let Ok(()) = self.catalogs.update(change).await;
            let pinned = self.pinned.remove(&robot).unwrap_or_default();
            self.keep(robot, Pinned::default(), pinned).await?;
        }
        Ok(())
    }

    async fn unpin(&self, roots: Vec<Cid>) {
        if roots.is_empty() {
            return;
        }
        if let Err(error) = self.node.unpin_all(roots).await {
            tracing::warn!(%error, "former versions of catalogues could not be unpinned");
        }
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
