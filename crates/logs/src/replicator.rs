//! The shell of verifier and replicator: fetches, checks and pins what the decider asks for.

mod lending;
mod pins;

use crate::check::{Fault, check};
use crate::index::SharedFile;
use crate::ledger::{Ledger, NoRoom};
use crate::let_go::Reason;
use crate::places::Candidate;
use crate::replicate::{Action, Replication};
use ipfs::Cid;
use ipfs::node::{FetchError, FetchLimits, FetchProgress, Node, PinError, Provider};
use lending::{Lent, Wanted};
use service::{DecisionLoop, concerns_providers};
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
    /// Whether files of other peers are kept.
    pub(crate) keep_others: bool,
    /// Maximum size, in bytes, of a file of other peers that is kept.
    pub(crate) max_file_bytes: u64,
    /// Number of files that are fetched at a time.
    pub(crate) parallel: usize,
    /// Time between two looks whether what is kept is still there.
    pub(crate) check: Duration,
}

/// Time in which records that come are decided on together.
const GATHER: Duration = Duration::from_millis(50);
/// Time without a block after which a fetch is given up for now.
const STALL: Duration = Duration::from_secs(60);
/// Minimum and maximum time to wait before a file is tried again.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15 * 60));
/// Maximum time until files that wait are looked at again. Every reason to do so earlier is an event.
const LONGEST_WAIT: Duration = TRY_AGAIN.1;
/// Time after which files for which there was no room are tried again. That costs one question to the file system.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(3);
/// Minimum room, in bytes, for a fetch that goes on: a few blocks.
const SOME_ROOM: u64 = 4 * 1024 * 1024;
/// Bytes that a directory and an info file have besides the payload. Links to many chunks need a hundredth more.
const OVERHEAD: u64 = 64 * 1024;
/// Minimum size, in bytes, of the chunks of an honest file, except the last.
const SMALLEST_CHUNK: u64 = 16 * 1024;

/// Why the replicator ended.
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

/// Why a file was not taken.
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
    #[error("taking it died with a panic")]
    Died,
    #[error("it gave its place to another file")]
    GaveWay,
}

/// A file that is being fetched, or could not be fetched.
#[derive(Debug, Default)]
struct Attempt {
    /// Its place, while it is being fetched.
    lent: Option<Lent>,
    /// Tells the fetch to give its place back.
    give_back: Arc<Notify>,
    /// Number of times that it did.
    turns: u32,
    /// Peers that hold the file, for the fetch that is under way.
    providers: watch::Sender<Vec<Provider>>,
    /// How far the last fetch came. Its root says how large the content is.
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
    /// Files for which the last decision found no room.
    no_room: Vec<NoRoom>,
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
    let decider = Replication::new(swarm.me());
    let decisions = DecisionLoop::new(swarm.clone(), decider, concerns_providers, GATHER);
    let (fetches, roots, attempts) = (JoinSet::new(), BTreeMap::new(), BTreeMap::new());
    let no_room = Vec::new();
    let replicator =
        Replicator { settings, swarm, node, ledger, decisions, fetches, roots, attempts, no_room };
    tokio::select! {
        ended = replicator.run(losses, pin_changes) => ended,
        failed = watching => failed,
        failed = comparing => failed,
    }
}

impl Replicator {
    async fn run(
        mut self,
        mut losses: mpsc::Receiver<BTreeSet<Cid>>,
        mut pin_changes: mpsc::Receiver<()>,
    ) -> Result<Infallible, ReplicatorError> {
        self.compare_with_pins().await?;
        loop {
            self.release().await?;
            let retry = self.decide().await?;
            tokio::select! {
                () = self.decisions.changed() => {}
                () = self.ledger.changed() => {}
                Some(incomplete) = losses.recv() => self.lost(&incomplete).await?,
                Some(()) = pin_changes.recv() => self.follow_pins().await?,
                Some(ended) = self.fetches.join_next_with_id() => self.ended(ended).await?,
                () = tokio::time::sleep_until(retry) => {}
            }
        }
    }

    /// Retracts and forgets files that are not whole any more. What other peers hold is fetched again.
    async fn lost(&mut self, incomplete: &BTreeSet<Cid>) -> Result<(), ReplicatorError> {
        let kept = self.ledger.kept();
        let lost: BTreeSet<Cid> = incomplete.iter().filter(|cid| kept.contains_key(cid)).copied().collect();
        if lost.is_empty() {
            return Ok(());
        }
        for cid in &lost {
            tracing::warn!(%cid, "a kept file is not whole any more; it is fetched again from a peer that holds it");
        }
        self.decisions.decider().lose(lost.clone());
        self.decide().await?;
        self.forget(lost.into_iter().collect()).await
    }

    async fn forget(&self, cids: Vec<Cid>) -> Result<(), ReplicatorError> {
        self.node.unpin_all(cids.clone()).await?;
        Ok(self.ledger.drop_kept(&cids).await?)
    }

    /// Decides, and does what was decided. Returns when to retry a file for which there was no room or that failed.
    async fn decide(&mut self) -> Result<Instant, ReplicatorError> {
        self.set_inputs();
        let actions = self.decisions.decide().await?;
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
                Action::Withdraw(cid) => {
                    tracing::warn!(%cid, "another robot discarded a file of the shared folder; it is not shared any more until `undiscard`");
                    self.let_go(BTreeSet::from([cid]), Reason::Withdrawn).await?;
                }
                Action::TakeBack(cids) => self.ledger.take_back(&cids).await?,
            }
        }
        self.attempts.retain(|cid, attempt| attempt.is_under_way() || wanted.contains_key(cid));
        self.tell_providers(&wanted);
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
        decider.set_short(is_short);
        decider.unlisted().noted = self.ledger.unlisted();
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
            tracing::warn!(%cid, name, bytes, reason, files = number, "there is no room for shared files; they are fetched as soon as there is");
        }
    }

    /// Tells the fetches under way which peers hold their file by now. One that failed begins again soon when its peers, or
    /// their addresses, are others.
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

    /// Begins to fetch a file, which has a place now.
    fn begin(&mut self, file: &SharedFile, providers: Vec<Provider>, candidate: Candidate) {
        let limits = self.limits();
        let attempt = self.attempts.entry(file.cid).or_default();
        attempt.lend(candidate);
        // What was said to a fetch before this one is no business of this one.
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

    /// Returns the limits of a fetch: what the settings allow. The fetch itself is refused when the root says that it is
    /// larger; what a description says of the size decides nothing.
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
                // It was let go of meanwhile.
                self.attempts.remove(&cid);
                self.forget(vec![cid]).await?;
            }
            Ok(()) => {
                self.attempts.remove(&cid);
                tracing::info!(%cid, "a shared file was checked and is kept");
            }
            Err(TakeError::Ledger(error)) => return Err(error.into()),
            Err(TakeError::GaveWay) => {
                let attempt = self.attempts.entry(cid).or_default();
                (attempt.lent, attempt.turns) = (None, attempt.turns.saturating_add(1));
            }
            Err(TakeError::Fault(Fault::Bad(reason))) => {
                tracing::warn!(%cid, reason, "a shared file is bad");
                // Where this node may not discard it, it is not fetched again at once.
                self.put_off(cid, TRY_AGAIN.1);
                self.decisions.decider().reject(cid);
            }
            Err(error) => self.failed(cid, &error),
        }
        Ok(())
    }

    fn failed(&mut self, cid: Cid, error: &TakeError) {
        // Without room the next decision says so and waits for it.
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
    // The fetch holds the blocks until the pin does. What came before it gave way is found by the next one.
    let fetched = tokio::select! {
        fetched = node.fetch_from(name, cid, providers, limits, progress) => fetched?,
        () = give_back.notified() => return Err(TakeError::GaveWay),
    };
    let description = check(node, cid, limits.max_bytes).await?;
    node.pin(cid).await?;
    drop(fetched);
    Ok(ledger.keep(cid, description).await?)
}
