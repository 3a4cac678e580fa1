//! The I/O shell of the verifier and the replicator. It fetches, checks and pins the files that the decider asks for.

mod copies;
mod lending;
mod pins;
mod serving;
mod space;
mod wanted;

use crate::buckets::concerns_copies;
use crate::catalog::shared::SharedCatalogs;
use crate::check::{Fault, check};
use crate::dropped::DroppedFiles;
use crate::index::SharedFile;
use crate::ledger::{Ledger, NoRoom};
use crate::let_go::Reason;
use crate::places::Candidate;
use crate::replicate::{Action, CopyRules, Replication};
use crate::replicator::copies::PersonPins;
use ipfs::Cid;
use ipfs::node::{FetchError, FetchLimits, FetchProgress, Node, PinError, Provider};
use lending::{Lent, Wanted};
use service::{DecisionLoop, WantedFiles};
use space::{FreeSpace, watch_space};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use store::TableError;
use swarm::{Stopped, Swarm};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

/// Settings of the replicator.
#[derive(Clone, Debug)]
pub(crate) struct ReplicatorSettings {
    /// Whether this node keeps files of other peers.
    pub(crate) keep_others: bool,
    /// Files of which another service of this node needs a copy.
    pub(crate) wanted_files: watch::Sender<WantedFiles>,
    /// Whether content of this node may leave its own networks; `None` until this is known.
    pub(crate) may_leave: watch::Sender<Option<bool>>,
    /// Maximum size, in bytes, of a file that is fetched.
    pub(crate) max_file_bytes: u64,
    /// Number of copies that the swarm should have of each file.
    pub(crate) copies: CopyRules,
    /// Free space of the disk, in MiB, below which copies for other peers go; `None` for the default.
    pub(crate) free_floor: Option<u64>,
    /// The copies that this node let go of lately.
    pub(crate) dropped: DroppedFiles,
    /// Maximum number of files that are fetched at a time. One small file more may be fetched beside them.
    pub(crate) parallel: usize,
    /// Time between two checks that the kept blocks and files are still there.
    pub(crate) check: Duration,
    /// The catalogues that this node has read.
    pub(crate) catalogs: SharedCatalogs,
}

/// Maximum number of files with a failed fetch that each decision considers in addition to its choice of new files.
const MAX_TRIED: usize = 512;
/// Time in which arriving records are gathered for one decision.
const GATHER: Duration = Duration::from_millis(50);
/// Time without a block after which a fetch fails and is retried later.
const STALL: Duration = Duration::from_secs(60);
/// Minimum and maximum backoff before a fetch is retried.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15 * 60));
/// Maximum time until waiting files are considered again. An event that makes a fetch possible wakes the replicator
/// earlier.
const LONGEST_WAIT: Duration = TRY_AGAIN.1;
/// Time after which the disk space for waiting files is checked again. A check costs one query of the file system.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(3);
/// Minimum free space, in bytes, to begin a fetch: a few blocks. It suffices for a file whose size is unknown, or most
/// of whose blocks are stored already.
const SOME_ROOM: u64 = 4 * 1024 * 1024;
/// Number of bytes that are allowed beside the content: for the directory and the info file. One percent of the size is
/// added for the links to the chunks.
const OVERHEAD: u64 = 64 * 1024;
/// Minimum size, in bytes, of the chunks of an honest file, except the last chunk.
const SMALLEST_CHUNK: u64 = 16 * 1024;

/// Error that ends the replicator.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplicatorError {
    /// The ledger cannot be written.
    #[error(transparent)]
    Ledger(#[from] TableError),
    /// The pins cannot be read.
    #[error(transparent)]
    Pins(#[from] PinError),
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Reason why a file was not taken.
#[derive(Debug, thiserror::Error)]
enum TakeError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Fault(#[from] Fault),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error(transparent)]
    Ledger(#[from] TableError),
    #[error("the task of the fetch panicked")]
    Died,
    #[error("the fetch gave its slot to another file")]
    GaveWay,
}

/// The state of a file that is being fetched or whose fetch failed.
#[derive(Debug, Default)]
struct Attempt {
    /// The fetch slot, while the file is being fetched.
    lent: Option<Lent>,
    /// Signal for the fetch to give its slot back.
    give_back: Arc<Notify>,
    /// Number of times that the file gave its slot back.
    turns: u32,
    /// Peers that hold the file, for the present fetch.
    providers: watch::Sender<Vec<Provider>>,
    /// Progress of the last fetch. It includes the size that the root claims.
    progress: watch::Sender<FetchProgress>,
    failures: u32,
    not_before: Option<Instant>,
}

struct Replicator {
    settings: ReplicatorSettings,
    swarm: Swarm,
    node: Node,
    ledger: Ledger,
    decisions: DecisionLoop<Replication>,
    fetches: JoinSet<Result<(), TakeError>>,
    roots: BTreeMap<Id, Cid>,
    attempts: BTreeMap<Cid, Attempt>,
    /// Files for which the last decision found no disk space.
    no_room: Vec<NoRoom>,
    person_pins: PersonPins,
    space: FreeSpace,
    /// The private roots that the node knows; `None` before the first decision.
    private_roots: Option<BTreeSet<Cid>>,
}

/// Fetches, checks and keeps shared files, until the future is dropped.
///
/// # Errors
/// When the ledger or the pins cannot be read or written.
pub(crate) async fn run_replicator(
    settings: ReplicatorSettings,
    swarm: Swarm,
    node: Node,
    ledger: Ledger,
) -> Result<Infallible, ReplicatorError> {
    let (found, losses) = mpsc::channel(1);
    let watching = pins::find_losses(node.clone(), found, settings.check);
    let (changed, pin_changes) = mpsc::channel(1);
    let comparing = pins::watch_pins(node.clone(), ledger.clone(), changed);
    let mut decider = Replication::new(swarm.me());
    decider.set_copy_rules(settings.copies);
    let decisions = DecisionLoop::new(swarm.clone(), decider, concerns_copies, GATHER);
    let person_pins = PersonPins::new(&node);
    let space = FreeSpace::new(&node, settings.free_floor);
    let guarding = watch_space(node.clone(), space.clone());
    let (fetches, roots, attempts) = (JoinSet::new(), BTreeMap::new(), BTreeMap::new());
    let no_room = Vec::new();
    let replicator = Replicator {
        settings,
        swarm,
        node,
        ledger,
        decisions,
        fetches,
        roots,
        attempts,
        no_room,
        person_pins,
        space,
        private_roots: None,
    };
    tokio::select! {
        ended = replicator.run(losses, pin_changes) => ended,
        failed = watching => failed,
        failed = comparing => failed,
        failed = guarding => failed,
    }
}

impl Replicator {
    async fn run(
        mut self,
        mut losses: mpsc::Receiver<BTreeSet<Cid>>,
        mut pin_changes: mpsc::Receiver<()>,
    ) -> Result<Infallible, ReplicatorError> {
        self.compare_with_pins().await?;
        let mut pressure = self.space.pressure();
        let mut wanted_files = self.settings.wanted_files.subscribe();
        let mut catalogs = self.settings.catalogs.subscribe();
        let mut may_leave = self.settings.may_leave.subscribe();
        loop {
            self.release().await?;
            self.release_unneeded().await?;
            let retry = self.decide().await?;
            tokio::select! {
                () = self.decisions.changed() => {}
                () = self.ledger.changed() => {}
                Some(incomplete) = losses.recv() => self.lost(&incomplete).await?,
                Some(()) = pin_changes.recv() => self.follow_pins().await?,
                Ok(()) = pressure.changed() => {}
                Ok(()) = wanted_files.changed() => {}
                Ok(()) = catalogs.changed() => {}
                Ok(()) = may_leave.changed() => {}
                Some(ended) = self.fetches.join_next_with_id() => self.ended(ended).await?,
                () = tokio::time::sleep_until(retry) => {}
            }
        }
    }

    /// Retracts the statements about incomplete files, and unpins the files. They are fetched again when other peers
    /// hold them.
    async fn lost(&mut self, incomplete: &BTreeSet<Cid>) -> Result<(), ReplicatorError> {
        // The proposer decides about the files of the shared folders: their disk may be missing.
        let (kept, own) = (self.ledger.kept(), self.ledger.suspect(incomplete));
        let is_lost = |cid: &&Cid| kept.contains_key(*cid) && !own.contains(*cid);
        let lost: BTreeSet<Cid> = incomplete.iter().filter(is_lost).copied().collect();
        if lost.is_empty() {
            return Ok(());
        }
        for cid in &lost {
            tracing::warn!(%cid, "a kept file lacks blocks; it is fetched again from a peer that holds it");
        }
        self.decisions.decider().lose(lost.clone());
        self.decide().await?;
        self.forget(lost.into_iter().collect()).await
    }

    async fn forget(&self, cids: Vec<Cid>) -> Result<(), ReplicatorError> {
        self.node.unpin_all(cids.clone()).await?;
        Ok(self.ledger.drop_kept(&cids).await?)
    }

    /// Decides, and carries out the decision. Returns the time of the next decision for files that wait for space, for
    /// a retry or for a slot.
    async fn decide(&mut self) -> Result<Instant, ReplicatorError> {
        self.set_inputs();
        self.set_copies().await?;
        let actions = self.decisions.decide().await?;
        self.tell_listed();
        self.release_unlisted().await?;
        let others = if self.settings.keep_others { self.decisions.decider().left_out() } else { 0 };
        self.ledger.left_out().send_if_modified(|left_out| left_out.note_others(others));
        self.no_room.clear();
        let (mut wanted, mut is_done) = (Wanted::new(), true);
        for action in actions {
            match action {
                Action::Take { file, providers } => drop(wanted.insert(file.cid, (file, providers))),
                Action::Drop(cid) => {
                    tracing::info!(%cid, "a file that was discarded or withdrawn is unpinned");
                    self.forget(vec![cid]).await?;
                    self.decisions.decider().lose(BTreeSet::from([cid]));
                    is_done = false;
                }
                Action::Release(cid, reason) => {
                    self.let_go_of_copy(cid, reason).await?;
                    is_done = false;
                }
                Action::Withdraw(cid) => {
                    tracing::warn!(%cid, "another robot discarded a file of the shared folder; it is not shared any more until `undiscard`");
                    self.let_go(BTreeSet::from([cid]), Reason::Withdrawn).await?;
                }
                Action::TakeBack(cids) => self.ledger.take_back(&cids).await?,
            }
        }
        self.attempts.retain(|cid, attempt| attempt.is_under_way() || wanted.contains_key(cid));
        self.restrict(&wanted).await?;
        self.tell_providers(&wanted);
        self.stop_unneeded();
        let recall = self.lend(&wanted);
        let retry = self.next_retry();
        let retry = recall.map_or(retry, |recall| recall.min(retry));
        Ok(if is_done { retry } else { Instant::now() })
    }

    fn set_inputs(&self) {
        let ((replaced, changing), is_short) =
            (self.ledger.replaced(), self.ledger.left_out().borrow().own.is_short);
        let mut decider = self.decisions.decider();
        decider.set_kept(self.ledger.kept());
        decider.set_let_go(self.ledger.let_go_files());
        decider.set_replaced(replaced, changing);
        decider.set_away(self.ledger.away());
        decider.set_short(is_short);
        decider.set_tried(self.tried());
        decider.unlisted().noted = self.ledger.unlisted();
        let catalogued = self.ledger.catalogued().borrow().clone();
        decider.set_catalogs(self.settings.catalogs.current(), catalogued.unwrap_or_default());
    }

    /// Tells which files of other robots the catalogue of this robot should list.
    fn tell_listed(&self) {
        let decider = self.decisions.decider();
        let (listed, lacks_records) = (decider.listed_of_others(), decider.unsaid() > 0);
        drop(decider);
        self.ledger.listing().send_if_modified(|listing| {
            let is_new = listing.others.as_ref() != Some(&listed) || listing.lacks_records.1 != lacks_records;
            (listing.others, listing.lacks_records.1) = (Some(listed), lacks_records);
            is_new
        });
    }

    /// Returns the files whose fetch is under way or failed. They stay in the decisions, so that their providers are
    /// known and that other files take their turn in the meantime. The number of failed ones is limited.
    fn tried(&self) -> BTreeSet<Cid> {
        let (active, waiting): (Vec<_>, Vec<_>) =
            self.attempts.iter().partition(|(_, attempt)| attempt.is_under_way());
        active.into_iter().chain(waiting.into_iter().take(MAX_TRIED)).map(|(cid, _)| *cid).collect()
    }

    fn next_retry(&mut self) -> Instant {
        let again = if self.no_room.is_empty() { LONGEST_WAIT } else { LOOK_FOR_ROOM };
        self.tell_no_room();
        let (now, waiting) = (Instant::now(), |attempt: &&Attempt| !attempt.is_under_way());
        let retries = self.attempts.values().filter(waiting).filter_map(|attempt| attempt.not_before);
        retries.filter(|at| *at > now).min().map_or(now + again, |at| at.min(now + again))
    }

    fn tell_no_room(&mut self) {
        let files = std::mem::take(&mut self.no_room);
        let first = files.first().cloned();
        let number = files.len();
        let is_news = self.ledger.tell_no_room(files);
        if let (Some(NoRoom { cid, name, bytes, reason }), true) = (first, is_news) {
            tracing::warn!(%cid, name, bytes, reason, files = number, "there is no room for shared files; they are fetched as soon as there is room");
        }
    }

    /// Updates the providers of the fetches under way. A failed fetch is retried soon when its providers or their
    /// addresses changed.
    fn tell_providers(&mut self, wanted: &Wanted) {
        let soon = Instant::now() + TRY_AGAIN.0;
        for (cid, attempt) in &mut self.attempts {
            let known = wanted.get(cid).map(|(_, holders)| holders.providers()).unwrap_or_default();
            let is_new = attempt.providers.send_if_modified(|providers| {
                let is_new = *providers != known;
                *providers = known;
                is_new
            });
            if is_new && attempt.failures > 0 {
                attempt.not_before = attempt.not_before.map(|at| at.min(soon));
            }
        }
    }

    /// Begins to fetch a file that just got a slot.
    fn begin(&mut self, file: &SharedFile, providers: Vec<Provider>, candidate: Candidate) {
        let limits = self.limits();
        let attempt = self.attempts.entry(file.cid).or_default();
        attempt.lend(candidate);
        // A new signal, since a request to the earlier fetch must not end this one.
        attempt.give_back = Arc::default();
        let (number, give_back) = (providers.len(), attempt.give_back.clone());
        attempt.providers.send_replace(providers);
        let (known, progress) = (attempt.providers.subscribe(), attempt.progress.clone());
        let name = file.description.as_ref().map(|description| description.filename.clone());
        tracing::info!(cid = %file.cid, name, providers = number, "fetching a shared file");
        let (node, ledger, cid) = (self.node.clone(), self.ledger.clone(), file.cid);
        let name = name.unwrap_or_default();
        let fetch = self.fetches.spawn(async move {
            take(&node, &ledger, (&name, cid), (known, progress, limits), &give_back).await
        });
        self.roots.insert(fetch.id(), cid);
    }

    /// Returns the limits of a fetch, from the settings. The fetch is refused when the root claims a larger size.
    /// The size in the description is not used.
    fn limits(&self) -> FetchLimits {
        let size = self.settings.max_file_bytes;
        let max_bytes = size.saturating_add(size / 100).saturating_add(OVERHEAD);
        let max_blocks = usize::try_from(max_bytes / SMALLEST_CHUNK).unwrap_or(usize::MAX).saturating_add(16);
        FetchLimits { max_bytes, max_blocks, stall_timeout: STALL, priority: 0 }
    }

    async fn ended(
        &mut self,
        ended: Result<(Id, Result<(), TakeError>), tokio::task::JoinError>,
    ) -> Result<(), ReplicatorError> {
        let (id, result) = ended.unwrap_or_else(|error| (error.id(), Err(TakeError::Died)));
        let Some(cid) = self.roots.remove(&id) else { return Ok(()) };
        match result {
            Ok(()) if self.ledger.let_go_files().contains_key(&cid) => {
                // This node let go of the file during the fetch.
                self.attempts.remove(&cid);
                self.forget(vec![cid]).await?;
            }
            Ok(()) => {
                self.attempts.remove(&cid);
                self.settings.dropped.forget(cid).await?;
                tracing::info!(%cid, "a shared file was checked and is kept");
            }
            Err(TakeError::Ledger(error)) => return Err(error.into()),
            Err(TakeError::GaveWay) => {
                let attempt = self.attempts.entry(cid).or_default();
                (attempt.lent, attempt.turns) = (None, attempt.turns.saturating_add(1));
            }
            Err(TakeError::Fault(Fault::Bad(reason))) => {
                tracing::warn!(%cid, reason, "a shared file is bad");
                // If this node has no right to discard the file, the backoff keeps it from fetching the file again at once.
                self.put_off(cid, TRY_AGAIN.1);
                self.decisions.decider().reject(cid, reason);
            }
            Err(error) => self.failed(cid, &error),
        }
        Ok(())
    }

    fn failed(&mut self, cid: Cid, error: &TakeError) {
        // When the disk is full, the next decision logs this and waits for space.
        if let Err(full) = self.node.store().has_room(SOME_ROOM)
            && full.is_full()
        {
            return self.put_off(cid, LOOK_FOR_ROOM);
        }
        let attempt = self.attempts.entry(cid).or_default();
        attempt.failures += 1;
        let wait = (TRY_AGAIN.0 * 2u32.saturating_pow(attempt.failures - 1)).min(TRY_AGAIN.1);
        self.put_off(cid, wait);
        tracing::warn!(%cid, %error, again_in = ?wait, "a shared file could not be fetched");
    }

    fn put_off(&mut self, cid: Cid, wait: Duration) {
        let attempt = self.attempts.entry(cid).or_default();
        attempt.lent = None;
        attempt.not_before = Some(Instant::now() + wait);
    }
}

/// Fetches, checks and pins one file.
async fn take(
    node: &Node,
    ledger: &Ledger,
    (name, cid): (&str, Cid),
    (providers, progress, limits): (
        watch::Receiver<Vec<Provider>>,
        watch::Sender<FetchProgress>,
        FetchLimits,
    ),
    give_back: &Notify,
) -> Result<(), TakeError> {
    // `fetched` protects the blocks until they are pinned. When the fetch gives its slot back, the next fetch of the
    // file finds the received blocks in the store.
    let fetched = tokio::select! {
        fetched = node.fetch_from(name, cid, providers, limits, progress) => fetched?,
        () = give_back.notified() => return Err(TakeError::GaveWay),
    };
    let description = check(node, cid, limits.max_bytes).await?;
    node.pin(cid).await?;
    drop(fetched);
    Ok(ledger.keep(cid, description).await?)
}
