//! The shell of verifier and pinner: fetches, checks and pins, and says so.

use crate::check::{Fault, check};
use crate::index::{SharedFile, index};
use crate::keep::{self, Action};
use crate::ledger::{Ledger, LedgerError, NoRoom};
use crate::providers::providers;
use dcache::{Record, Set, Statements, Time};
use ipfs::Cid;
use ipfs::node::{FetchError, FetchLimits, Node, PinError, Provider};
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;
use swarm::{SayError, Stopped, Swarm};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

/// What the keeper needs to know.
#[derive(Clone, Debug)]
pub struct KeeperSettings {
    /// Whether files of others are kept.
    pub keep_others: bool,
    /// The largest file of others that is kept, in bytes.
    pub max_file_bytes: u64,
    /// How many files are fetched at a time.
    pub parallel: usize,
}

/// Renewals are looked for this often.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// Several changes in this time are looked at together.
const GATHER: Duration = Duration::from_millis(50);
/// A fetch on which nothing comes for this long is given up for now.
const STALL: Duration = Duration::from_secs(60);
/// The first and the longest wait before a file is tried again.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(15 * 60));
/// How often it is looked for room. That asks the file system one question.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(3);
/// How much room a fetch that goes on needs at least: a few blocks.
const SOME_ROOM: u64 = 4 * 1024 * 1024;
/// What a directory and an info file have besides the payload, and what links to many chunks need: a hundredth more.
const OVERHEAD: u64 = 64 * 1024;
/// Honest files have chunks of this size at least, but for the last.
const SMALLEST_CHUNK: u64 = 16 * 1024;

/// Why the keeper cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The ledger cannot be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
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
    Ledger(#[from] LedgerError),
    #[error("taking it died with a panic")]
    Died,
}

/// A file that is being fetched, or could not be.
#[derive(Debug, Default)]
struct Attempt {
    is_under_way: bool,
    /// Who has it, for the fetch that is under way.
    providers: watch::Sender<Vec<Provider>>,
    failures: u32,
    not_before: Option<Instant>,
}

struct Keeper {
    settings: KeeperSettings,
    swarm: Swarm,
    node: Node,
    ledger: Ledger,
    jobs: JoinSet<Result<(), TakeError>>,
    names: BTreeMap<Id, Cid>,
    attempts: BTreeMap<Cid, Attempt>,
    /// The files that this look found no room for.
    no_room: Vec<NoRoom>,
}

/// Everything that one look at the set shows.
struct Sight {
    now: Time,
    files: BTreeMap<Cid, SharedFile>,
    providers: BTreeMap<Cid, Vec<Provider>>,
    /// What lies in this node's own folder.
    in_folder: BTreeSet<Cid>,
}

/// Fetches, checks and keeps what is shared, until it is dropped; ends only with an error.
///
/// # Errors
/// When the ledger or the pins cannot be read or written.
pub async fn run_keeper(
    settings: KeeperSettings,
    swarm: Swarm,
    node: Node,
    ledger: Ledger,
) -> Result<(), KeeperError> {
    let (jobs, names, attempts) = (JoinSet::new(), BTreeMap::new(), BTreeMap::new());
    let (found, losses) = mpsc::channel(1);
    let looking = find_losses(node.clone(), found);
    let keeper = Keeper { settings, swarm, node, ledger, jobs, names, attempts, no_room: Vec::new() };
    tokio::select! {
        ended = keeper.run(losses) => ended,
        failed = looking => Err(failed.map_or_else(|error| error, |never| match never {})),
    }
}

/// Whenever something that is pinned went missing, finds out of which roots.
async fn find_losses(node: Node, found: mpsc::Sender<BTreeSet<Cid>>) -> Result<Infallible, KeeperError> {
    let mut losses = node.store().losses();
    loop {
        losses.borrow_and_update();
        // Files that do not look as they did are read now, which takes its time.
        if let Err(error) = node.check_files(None).await {
            tracing::warn!(%error, "what became of shared files could not be noted; it is seen again after the next start");
        }
        let incomplete = node.incomplete_pins().await?;
        if !incomplete.is_empty() && found.send(incomplete.into_iter().collect()).await.is_err() {
            return std::future::pending().await;
        }
        if losses.changed().await.is_err() {
            return std::future::pending().await;
        }
        tokio::time::sleep(GATHER).await;
    }
}

/// Waits until something changed that may give this node something to do, or so much that some of it was missed.
async fn something_changed(changes: &mut broadcast::Receiver<Record>) {
    loop {
        match changes.recv().await {
            Ok(record) if !keep::is_of_interest(&record.item().bucket) => {}
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            // The sender lives in the handle that we hold.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Keeper {
    async fn run(mut self, mut losses: mpsc::Receiver<BTreeSet<Cid>>) -> Result<(), KeeperError> {
        let mut changes = self.swarm.changes();
        self.compare_with_pins().await?;
        loop {
            let next = self.look().await?;
            tokio::select! {
                () = something_changed(&mut changes) => tokio::time::sleep(GATHER).await,
                () = self.ledger.changed() => {}
                Some(incomplete) = losses.recv() => self.lost(&incomplete).await?,
                Some(ended) = self.jobs.join_next_with_id() => self.ended(ended).await?,
                () = tokio::time::sleep_until(next) => {}
            }
        }
    }

    /// What is in the ledger but not pinned (its database was lost, or a block) is pinned anew, or taken again.
    async fn compare_with_pins(&self) -> Result<(), KeeperError> {
        let pinned: BTreeSet<Cid> = self.node.pins().await?.into_iter().map(|pin| pin.root).collect();
        let incomplete = self.node.incomplete_pins().await?;
        let mut lost: BTreeSet<Cid> = incomplete.into_iter().collect();
        for cid in self.ledger.kept().into_keys().filter(|cid| !pinned.contains(cid)) {
            if let Err(error) = self.node.pin(cid).await {
                tracing::warn!(%cid, %error, "a kept file could not be pinned anew");
                lost.insert(cid);
            }
        }
        self.lost(&lost).await
    }

    /// These are not whole any more: that is said, and what still can be had is taken again.
    async fn lost(&self, incomplete: &BTreeSet<Cid>) -> Result<(), KeeperError> {
        let (kept, me) = (self.ledger.kept(), self.swarm.me());
        let lost: Vec<Cid> = incomplete.iter().filter(|cid| kept.contains_key(cid)).copied().collect();
        if lost.is_empty() {
            return Ok(());
        }
        let (sight, mut statements) = (self.see().await?, Statements::new());
        for cid in &lost {
            tracing::warn!(%cid, "a kept file is not whole any more; it is taken again where it can be had");
            if let Some(file) = sight.files.get(cid) {
                statements.append(keep::retract(file, me, sight.now));
            }
        }
        self.say(statements).await?;
        self.forget(lost).await
    }

    async fn forget(&self, cids: Vec<Cid>) -> Result<(), KeeperError> {
        self.node.unpin_all(cids.clone()).await?;
        Ok(self.ledger.drop_kept(&cids).await?)
    }

    /// Does everything that is to be done at this moment; returns when to look again.
    async fn look(&mut self) -> Result<Instant, KeeperError> {
        let sight = self.see().await?;
        self.attempts.retain(|cid, attempt| attempt.is_under_way || sight.files.contains_key(cid));
        self.tell_providers(&sight);
        let kept = self.ledger.kept();
        self.no_room.clear();
        // Said together: one commit on the disk, however many files.
        let mut statements = Statements::new();
        for (cid, action) in keep::decide(&sight.files, &kept, self.swarm.me(), sight.now) {
            match (action, sight.files.get(&cid), kept.get(&cid)) {
                (Action::Take, Some(file), _) => self.take(file, &sight),
                (Action::Drop, ..) => {
                    tracing::info!(%cid, "a discarded file is let go");
                    self.forget(vec![cid]).await?;
                }
                (action, Some(file), Some(description)) => {
                    statements.append(keep::statements(action, file, description, sight.now));
                }
                _ => {}
            }
        }
        self.say(statements).await?;
        let again = if self.no_room.is_empty() { LOOK_AGAIN } else { LOOK_FOR_ROOM };
        self.tell_no_room();
        let retries =
            self.attempts.values().filter(|attempt| !attempt.is_under_way).filter_map(|at| at.not_before);
        let later = Instant::now() + again;
        Ok(retries.filter(|at| *at > Instant::now()).min().map_or(later, |at| at.min(later)))
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

    /// Whether a file finds room now; otherwise that is noted. What of an own file is missing is mostly little.
    fn has_room(&mut self, file: &SharedFile, is_in_folder: bool) -> bool {
        let size = file.description.as_ref().map_or(SOME_ROOM, |description| description.size);
        let bytes = if is_in_folder { size.min(SOME_ROOM) } else { size };
        let Err(error) = self.node.store().has_room(bytes) else { return true };
        let name = file.description.as_ref().map(|description| description.filename.clone());
        self.no_room.push(NoRoom { cid: file.cid, name, bytes, reason: error.to_string() });
        false
    }

    /// Lets the fetches under way know who else has their file by now.
    fn tell_providers(&self, sight: &Sight) {
        for (cid, attempt) in &self.attempts {
            let known = sight.providers.get(cid).cloned().unwrap_or_default();
            attempt.providers.send_if_modified(|providers| {
                let is_new = *providers != known;
                *providers = known;
                is_new
            });
        }
    }

    async fn see(&self) -> Result<Sight, Stopped> {
        let me = self.swarm.me();
        let in_folder = self.ledger.taken().into_values().map(|taken| taken.cid).collect();
        let reading = move |set: &Set, now| {
            let files = index(set, now);
            let providers = files.values().map(|file| (file.cid, providers(set, file, me, now))).collect();
            Sight { now, files, providers, in_folder }
        };
        self.swarm.read(reading).await
    }

    fn take(&mut self, file: &SharedFile, sight: &Sight) {
        let attempt = self.attempts.entry(file.cid).or_default();
        let must_wait = attempt.not_before.is_some_and(|at| at > Instant::now());
        // An own file that somebody took out of the folder is like one of others.
        let is_in_folder = sight.in_folder.contains(&file.cid);
        let is_wanted = self.settings.keep_others || is_in_folder;
        let providers = sight.providers.get(&file.cid).cloned().unwrap_or_default();
        let is_in_reach = keep::is_in_reach(file, self.swarm.me(), !providers.is_empty());
        let may_begin = is_in_reach && self.jobs.len() < self.settings.parallel;
        if !is_wanted || attempt.is_under_way || must_wait || !may_begin || !self.has_room(file, is_in_folder)
        {
            return;
        }
        let attempt = self.attempts.entry(file.cid).or_default();
        attempt.is_under_way = true;
        let number = providers.len();
        attempt.providers.send_replace(providers);
        let known = attempt.providers.subscribe();
        let limits = self.limits(file);
        let name = file.description.as_ref().map(|description| description.filename.clone());
        tracing::info!(cid = %file.cid, name, providers = number, "fetching a shared file");
        let (node, ledger, cid) = (self.node.clone(), self.ledger.clone(), file.cid);
        let name = name.unwrap_or_default();
        let job = self.jobs.spawn(async move { take(&node, &ledger, &name, cid, known, limits).await });
        self.names.insert(job.id(), cid);
    }

    /// What fetching a file may cost: what its description says and a little more, or what is allowed at all.
    fn limits(&self, file: &SharedFile) -> FetchLimits {
        let claimed = file.description.as_ref().map_or(u64::MAX, |description| description.size);
        let size = claimed.min(self.settings.max_file_bytes);
        let max_bytes = size.saturating_add(size / 100).saturating_add(OVERHEAD);
        let max_blocks = usize::try_from(max_bytes / SMALLEST_CHUNK).unwrap_or(usize::MAX).saturating_add(16);
        FetchLimits { max_bytes, max_blocks, stall_timeout: STALL, priority: 0 }
    }

    async fn ended(
        &mut self,
        ended: Result<(Id, Result<(), TakeError>), tokio::task::JoinError>,
    ) -> Result<(), KeeperError> {
        let (id, result) = ended.unwrap_or_else(|error| (error.id(), Err(TakeError::Died)));
        let Some(cid) = self.names.remove(&id) else { return Ok(()) };
        match result {
            Ok(()) => {
                self.attempts.remove(&cid);
                tracing::info!(%cid, "a shared file was checked and is kept");
            }
            Err(TakeError::Ledger(error)) => return Err(error.into()),
            Err(TakeError::Fault(Fault::Bad(reason))) => {
                tracing::warn!(%cid, reason, "a shared file is bad");
                // Where this node may not discard it, it is not fetched again and again at least.
                self.put_off(cid, TRY_AGAIN.1);
                self.discard(cid).await?;
            }
            Err(error) => self.failed(cid, &error),
        }
        Ok(())
    }

    fn failed(&mut self, cid: Cid, error: &TakeError) {
        // For want of room: the next look says so, and waits for it.
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
        attempt.is_under_way = false;
        attempt.not_before = Some(Instant::now() + wait);
    }

    async fn discard(&self, cid: Cid) -> Result<(), KeeperError> {
        let sight = self.see().await?;
        let Some(file) = sight.files.get(&cid) else { return Ok(()) };
        self.say(keep::discard(file, sight.now)).await
    }

    async fn say(&self, statements: Statements) -> Result<(), KeeperError> {
        match self.swarm.say_what_counts(statements).await {
            Err(SayError::Stopped(stopped)) => Err(stopped.into()),
            Err(error) => {
                tracing::warn!(%error, "what became of a shared file could not be said; trying again");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Fetches, checks and pins one file.
async fn take(
    node: &Node,
    ledger: &Ledger,
    name: &str,
    cid: Cid,
    providers: watch::Receiver<Vec<Provider>>,
    limits: FetchLimits,
) -> Result<(), TakeError> {
    // Held until the pin protects the blocks.
    let fetched = node.fetch_from(name, cid, providers, limits, watch::Sender::default()).await?;
    let description = check(node, cid, limits.max_bytes).await?;
    node.pin(cid).await?;
    drop(fetched);
    Ok(ledger.keep(cid, description).await?)
}
