//! The I/O shell of the proposer. It watches the shared folders, adds settled files to IPFS, and publishes statements
//! about them.

mod returning;
mod take_error;
mod taker;

use crate::choose::{OwnFile, Shortage};
use crate::folder::{FolderSettings, SharedFolder};
use crate::ledger::{Ledger, Taken};
use crate::let_go::{LetGo, Reason};
use crate::log_files::LogFiles;
use crate::propose::{self, Proposal};
use crate::scan::RecordedFolders;
use crate::settle::{Fingerprint, Found, Settling};
use crate::versions::Replaced;
use crate::volume::{SharedPath, VolumeId};
use crate::writers::{self, Pace, open_for_writing};
use ipfs::Cid;
use ipfs::node::Node;
use ipfs::unixfs::AddError;
use service::DecisionLoop;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::task::Poll;
use std::time::{Duration, Instant};
use store::TableError;
use swarm::{Stopped, Swarm};
use take_error::TakeError;
use taker::{New, Taker};
use tokio::task::JoinSet;

/// Settings of the proposer.
#[derive(Clone, Debug)]
pub(crate) struct ProposerSettings {
    pub(crate) folders: Vec<FolderSettings>,
    /// Time for which a file must stay unchanged before it is added.
    pub(crate) settle: Duration,
    /// Time after which the folders are scanned although no change was reported. Reports get lost, and network drives
    /// send none.
    pub(crate) rescan: Duration,
}

/// Time after which a file that could not be added is retried.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// Time after which the proposer retries to add a file that did not fit on the disk. Space may be freed at any time.
const LOOK_FOR_ROOM: Duration = Duration::from_secs(5);
/// Maximum duration and maximum number of files of a batch. The files of a batch are synced to the disk and proposed
/// together: ten thousand small files must not cost ten thousand syncs of the SD card. The limits keep a long queue
/// from delaying its first files.
const TOGETHER: (Duration, usize) = (Duration::from_secs(2), 1024);
/// Size in bytes from which a file is added beside the others, one at a time. A robot reads some 40 MB of its SD card in a
/// second, so smaller files delay each other by some seconds at most.
const LARGE: u64 = 128 << 20;
/// Time in which several reports of changes are handled together.
const GATHER: Duration = Duration::from_millis(200);

/// Error that ends the proposer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProposerError {
    /// The ledger cannot be written.
    #[error(transparent)]
    Ledger(#[from] TableError),
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A log that is not shared yet: where it belongs, its files, and its fingerprint.
type ToAdd = (SharedPath, LogFiles, Fingerprint);

/// The logs that a scan found in a volume.
struct FoundIn {
    /// Index of the shared folder.
    at: usize,
    volume: VolumeId,
    files: Found,
    folders: RecordedFolders,
}

/// A shared folder, with the history of its files.
struct Folder {
    shared: SharedFolder,
    /// Path of the folder without symbolic links.
    real: PathBuf,
    settling: Settling,
}

struct Proposer {
    folders: Vec<Folder>,
    rescan: Duration,
    swarm: Swarm,
    node: Node,
    ledger: Ledger,
    decisions: DecisionLoop<Proposal>,
    /// Schedule for the scans of the open files of all processes.
    pace: Pace,
    started: Instant,
    /// Files that could not be added, and the time of the next retry.
    failed: BTreeMap<SharedPath, Duration>,
    /// Damaged files and files with secret keys. They are not shared as long as their fingerprint stays the same.
    damaged: BTreeMap<SharedPath, Fingerprint>,
    /// Files that were added and will be pinned together.
    new: Vec<New>,
    /// Time at which the first of these files was added.
    new_since: Duration,
    /// The large file that is being added, if any. The task ends when the proposer is dropped.
    large: JoinSet<Ended>,
    adding: Option<SharedPath>,
}

/// The end of the task that adds a large file.
struct Ended {
    path: SharedPath,
    fingerprint: Fingerprint,
    result: Result<New, TakeError>,
}

/// Shares the files of the folders until the future is dropped. It ends only with an error.
///
/// # Errors
/// When the ledger cannot be written.
pub(crate) async fn run_proposer(
    settings: ProposerSettings,
    swarm: Swarm,
    node: Node,
    ledger: Ledger,
) -> Result<Infallible, ProposerError> {
    let mut proposer = Proposer::new(settings, swarm, node, ledger);
    loop {
        let next = proposer.look().await?;
        proposer.wait(next).await?;
    }
}

impl Proposer {
    fn new(settings: ProposerSettings, swarm: Swarm, node: Node, ledger: Ledger) -> Self {
        let ProposerSettings { folders, settle, rescan } = settings;
        let folder = |settings: FolderSettings| {
            let (real, shared) = (settings.path.clone(), SharedFolder::new(settings));
            Folder { shared, real, settling: Settling::new(settle) }
        };
        let folders = folders.into_iter().map(folder).collect();
        let (failed, damaged, new, pace) = (BTreeMap::new(), BTreeMap::new(), Vec::new(), Pace::default());
        let (started, new_since) = (Instant::now(), Duration::ZERO);
        // No record triggers a decision. Records of other peers are considered at the next scan, after `rescan` at the
        // latest.
        let decisions = DecisionLoop::new(swarm.clone(), Proposal::new(swarm.me()), |_| false, GATHER);
        Self {
            folders,
            rescan,
            swarm,
            node,
            ledger,
            decisions,
            pace,
            started,
            failed,
            damaged,
            new,
            new_since,
            large: JoinSet::new(),
            adding: None,
        }
    }

    /// Waits until there is a reason to scan the folders: a change, or the time `next`.
    async fn wait(&mut self, next: Option<Duration>) -> Result<(), ProposerError> {
        let rescan = self.started.elapsed() + self.rescan;
        let wake = self.started + next.map_or(rescan, |next| next.min(rescan));
        loop {
            tokio::select! {
                gather = changed(&self.folders) => {
                    tokio::time::sleep(gather).await;
                    return Ok(());
                }
                () = self.ledger.lost() => {
                    tokio::time::sleep(GATHER).await;
                    return Ok(());
                }
                () = tokio::time::sleep_until(wake.into()) => return Ok(()),
                () = self.decisions.changed() => self.publish().await?,
                Some(ended) = self.large.join_next() => {
                    // The next large file can be added now.
                    self.adding = None;
                    let Ended { path, fingerprint, result } =
                        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
                    self.taken(path, fingerprint, result).await?;
                    return self.finish().await;
                }
            }
        }
    }

    /// Scans the folders once, and adds, forgets and proposes files accordingly. Returns the time of the next scan for
    /// files that still change or that must be retried.
    async fn look(&mut self) -> Result<Option<Duration>, ProposerError> {
        let mut looks = Vec::new();
        for folder in &mut self.folders {
            let look = folder.shared.look(&self.ledger).await;
            folder.real.clone_from(&look.folder);
            let volume = look.found.as_ref().map(|(volume, _)| *volume);
            self.ledger.show(folder.shared.path().to_owned(), volume);
            looks.push(look);
        }
        self.note_volumes().await?;
        let (mut found, mut changing) = (Vec::new(), BTreeSet::new());
        for (at, look) in looks.into_iter().enumerate() {
            // Without a scan result, no file counts as new or as gone.
            let Some((volume, files)) = look.found else { continue };
            let taken = self.ledger.taken_in(volume);
            changing.extend(propose::changing(&files, &taken));
            let gone = propose::gone(&files, &look.unseen, &taken);
            let gone = self.absorb(volume, gone, &look.folders, &taken).await?;
            self.forget(volume, gone).await?;
            let unnoted = propose::unnoted(&files, &taken).into_iter();
            let unnoted = unnoted.map(|(path, taken)| (SharedPath::new(volume, path), taken));
            self.ledger.note_looks(unnoted.collect()).await?;
            if look.is_other {
                let known = files.keys().filter(|path| taken.contains_key(*path));
                self.check(known.map(|path| look.folder.join(path)).collect()).await;
            }
            self.take_returned(volume, &files).await?;
            found.push(FoundIn { at, volume, files, folders: look.folders });
        }
        self.ledger.set_changing(changing);
        let next = self.add_new(found).await?;
        self.finish().await?;
        self.let_older_go().await?;
        self.publish().await?;
        Ok(next)
    }

    /// Adds the settled files of these folders that are new, were changed or lost blocks.
    async fn add_new(&mut self, found: Vec<FoundIn>) -> Result<Option<Duration>, ProposerError> {
        // Retry times in the past are dropped, since they would end the wait at once.
        let elapsed = self.started.elapsed();
        let is_found = |file: &SharedPath| {
            found.iter().any(|found| found.volume == file.volume && found.files.contains_key(&file.path))
        };
        self.failed.retain(|file, again| is_found(file) && *again > elapsed);
        let as_they_should_be = &(&self.kept() | &self.ledger.withheld()) - &self.ledger.away();
        let (mut wanted, mut next) = (Vec::new(), None);
        for FoundIn { at, volume, files, mut folders } in found {
            let Some(Folder { real, settling, .. }) = self.folders.get_mut(at) else { continue };
            let (settled, later) = settling.observe(files, &folders.unfinished, self.started.elapsed());
            next = next.into_iter().chain(later).min();
            let is_other = |file: &SharedPath, before: &Fingerprint| {
                file.volume == volume && settled.get(&file.path).is_some_and(|now| now != before)
            };
            self.damaged.retain(|file, before| !is_other(file, before));
            let unshared = self.ledger.unshared_in(volume);
            let is_unshared = |path: &str| with_folders(path).any(|path| unshared.contains(path));
            let settled: Found = settled.into_iter().filter(|(path, _)| !is_unshared(path)).collect();
            let files = propose::to_add(&settled, &self.ledger.taken_in(volume), &as_they_should_be);
            let file = |(path, fingerprint): (String, Fingerprint)| {
                let files = LogFiles::new(real.join(&path), folders.finished.remove(&path));
                (SharedPath::new(volume, path), files, fingerprint)
            };
            wanted.extend(files.into_iter().map(file));
        }
        let lacking: Vec<SharedPath> =
            wanted.iter().map(|(file, ..)| file).filter(|file| self.ledger.is_away(file)).cloned().collect();
        let (finished, again) = self.finished(wanted).await;
        // Nobody may rely on a file that lacks blocks and cannot be read again now.
        for file in lacking.iter().filter(|file| !finished.iter().any(|(other, ..)| other == *file)) {
            self.lose(file).await?;
        }
        let mut finished = finished;
        finished.sort_by_key(|(.., fingerprint)| fingerprint.size);
        for (path, file, fingerprint) in finished {
            self.add(path, file, fingerprint).await?;
        }
        Ok(self.failed.values().copied().chain(next).chain(again).min())
    }

    /// Returns the files that no process holds open for writing, and the time to check the others again.
    async fn finished(&mut self, mut files: Vec<ToAdd>) -> (Vec<ToAdd>, Option<Duration>) {
        let elapsed = self.started.elapsed();
        files.retain(|(path, ..)| !self.must_wait(path));
        if files.is_empty() {
            self.pace.note_none();
            return (files, None);
        }
        if elapsed < self.pace.next() {
            return (Vec::new(), Some(self.pace.next()));
        }
        let sought: Vec<(String, PathBuf)> = files
            .iter()
            .flat_map(|(path, files, _)| files.paths().into_iter().map(|file| (path.to_string(), file)))
            .collect();
        let looking = move || open_for_writing(Path::new(writers::PROCESSES), &sought);
        let open = tokio::task::spawn_blocking(looking).await;
        let open = open.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        files.retain(|(path, ..)| !open.contains(&path.to_string()));
        let now = self.started.elapsed();
        (files, self.pace.note(open, now, now.saturating_sub(elapsed)))
    }

    /// Returns whether a file that could not be added must not be retried yet.
    fn must_wait(&self, path: &SharedPath) -> bool {
        let is_too_early = self.failed.get(path).is_some_and(|again| *again > self.started.elapsed());
        is_too_early || self.damaged.contains_key(path) || self.adding.as_ref() == Some(path)
    }

    /// Unpins older versions of files, whose bytes are not in the folder any more, and files that a user withdrew.
    async fn let_older_go(&self) -> Result<(), ProposerError> {
        let (replaced, _) = self.ledger.replaced();
        let older = replaced.into_iter().filter(|(_, state)| *state != Replaced::IsBack);
        let kept = self.kept();
        let older: Vec<Cid> = older.map(|(cid, _)| cid).filter(|cid| kept.contains(cid)).collect();
        if older.is_empty() {
            return Ok(());
        }
        if let Err(error) = self.node.unpin_all(older.clone()).await {
            tracing::warn!(%error, "older versions could not be unpinned; this will be retried");
            return Ok(());
        }
        Ok(self.ledger.drop_kept(&older).await?)
    }

    fn kept(&self) -> BTreeSet<Cid> {
        self.ledger.kept().into_keys().collect()
    }

    /// Notes that files which were shared singly are now shared with their folder. Returns the paths that are gone
    /// otherwise.
    async fn absorb(
        &self,
        volume: VolumeId,
        gone: Vec<String>,
        folders: &RecordedFolders,
        taken: &BTreeMap<String, Taken>,
    ) -> Result<Vec<String>, ProposerError> {
        let folder_of = |path: &String| {
            let (folder, _) = path.rsplit_once('/')?;
            let is_shared = folders.finished.contains_key(folder) && taken.contains_key(folder);
            is_shared.then(|| folder.to_owned())
        };
        let (absorbed, gone): (Vec<_>, Vec<_>) =
            gone.into_iter().map(|path| (folder_of(&path), path)).partition(|(folder, _)| folder.is_some());
        let absorbed: Vec<(SharedPath, String)> = absorbed
            .into_iter()
            .filter_map(|(folder, path)| Some((SharedPath::new(volume, path), folder?)))
            .collect();
        if !absorbed.is_empty() {
            tracing::info!(
                files = absorbed.len(),
                "files that were shared singly are now shared with their folder"
            );
            self.ledger.absorb(&absorbed).await?;
        }
        Ok(gone.into_iter().map(|(_, path)| path).collect())
    }

    /// Lets go of files that are no longer in the folder that shows a volume. This node does not keep them any more and
    /// withdraws its statements.
    async fn forget(&self, volume: VolumeId, gone: Vec<String>) -> Result<(), ProposerError> {
        if gone.is_empty() {
            return Ok(());
        }
        let time = self.swarm.read(|_, now| now).await?;
        for file in &gone {
            tracing::info!(
                file,
                "a file was deleted from the shared folder; this robot does not hold it any more, other robots may"
            );
        }
        let gone: Vec<SharedPath> = gone.into_iter().map(|path| SharedPath::new(volume, path)).collect();
        let deleted = propose::deleted(&gone, &self.ledger.taken());
        let row = |cid: &Cid| (*cid, LetGo { reason: Reason::Deleted, time });
        self.ledger.let_go(deleted.iter().map(row).collect()).await?;
        self.ledger.forget_paths(gone.clone()).await?;
        let folder = self.folders.iter().find(|folder| folder.shared.shows() == Some(volume));
        if let Some(Folder { real, .. }) = folder {
            self.check(gone.iter().map(|file| real.join(&file.path)).collect()).await;
        }
        Ok(())
    }

    /// Has the node check the files that it serves at these paths, since they may have been removed or replaced.
    async fn check(&self, paths: BTreeSet<PathBuf>) {
        if let Err(error) = self.node.check_files(Some(paths)).await {
            tracing::warn!(%error, "missing files could not be recorded; they will be found again after the next start");
        }
    }

    async fn add(
        &mut self,
        path: SharedPath,
        file: LogFiles,
        fingerprint: Fingerprint,
    ) -> Result<(), ProposerError> {
        if self.must_wait(&path) {
            return Ok(());
        }
        let taker = Taker { swarm: self.swarm.clone(), node: self.node.clone(), ledger: self.ledger.clone() };
        if fingerprint.size >= LARGE {
            // Other large files wait for the end of this one.
            if self.adding.is_none() {
                self.adding = Some(path.clone());
                self.large.spawn(async move {
                    let result = taker.take(&path, file, fingerprint).await;
                    Ended { path, fingerprint, result }
                });
            }
            return Ok(());
        }
        let result = taker.take(&path, file, fingerprint).await;
        self.taken(path, fingerprint, result).await
    }

    /// Notes that a file was added, or why not.
    async fn taken(
        &mut self,
        path: SharedPath,
        fingerprint: Fingerprint,
        result: Result<New, TakeError>,
    ) -> Result<(), ProposerError> {
        match result {
            Ok(new) => {
                if self.new.is_empty() {
                    self.new_since = self.started.elapsed();
                }
                self.new.push(new);
                if self.new.len() >= TOGETHER.1 || self.started.elapsed() >= self.new_since + TOGETHER.0 {
                    self.finish().await?;
                }
            }
            Err(error) => {
                if matches!(error, TakeError::Damaged | TakeError::Key) {
                    self.lose(&path).await?;
                }
                self.not_taken(path, fingerprint, &error);
            }
        }
        Ok(())
    }

    fn not_taken(&mut self, path: SharedPath, fingerprint: Fingerprint, error: &TakeError) {
        let again = match error {
            // The file is added later, when it has stopped changing.
            TakeError::Changed | TakeError::Add(AddError::Changed(_)) => return,
            TakeError::Damaged | TakeError::Key => {
                tracing::warn!(file = path.path, %error, "a file is not shared");
                self.damaged.insert(path, fingerprint);
                return;
            }
            error if error.is_full() => LOOK_FOR_ROOM,
            _ => TRY_AGAIN,
        };
        tracing::warn!(file = path.path, %error, again_in = ?again, "a file cannot be shared");
        self.failed.insert(path, self.started.elapsed() + again);
    }

    /// Pins and proposes the files that were added. When they cannot be pinned together, each is pinned alone.
    async fn finish(&mut self) -> Result<(), ProposerError> {
        let new = std::mem::take(&mut self.new);
        let mut new = self.pass_over_withheld(new).await?;
        if new.is_empty() {
            return Ok(());
        }
        if self.node.pin_all(new.iter().map(|new| new.added.root).collect()).await.is_err() {
            new = self.pin_each(new).await;
        }
        for New { path, fingerprint, added, .. } in &new {
            tracing::info!(file = path.path, cid = %added.root, bytes = fingerprint.size, "a file was taken into the swarm");
            self.failed.remove(path);
        }
        let row = |New { path, fingerprint, description, added }: New| {
            (path, Taken { fingerprint, cid: added.root }, description)
        };
        let taken: Vec<SharedPath> = new.iter().map(|new| new.path.clone()).collect();
        self.ledger.take(new.into_iter().map(row).collect()).await?;
        self.ledger.note_back(taken);
        self.publish().await
    }

    /// Returns the files without those that must not be shared. Notes the latter, so that they are not read again.
    async fn pass_over_withheld(&self, new: Vec<New>) -> Result<Vec<New>, ProposerError> {
        let withheld = self.ledger.withheld();
        let (passed, new): (Vec<New>, Vec<New>) =
            new.into_iter().partition(|new| withheld.contains(&new.added.root));
        let row = |new: New| (new.path, Taken { fingerprint: new.fingerprint, cid: new.added.root });
        if !passed.is_empty() {
            let paths: Vec<SharedPath> = passed.iter().map(|new| new.path.clone()).collect();
            self.ledger.pass_over(passed.into_iter().map(row).collect()).await?;
            self.ledger.note_back(paths);
        }
        Ok(new)
    }

    async fn pin_each(&mut self, new: Vec<New>) -> Vec<New> {
        let mut pinned = Vec::new();
        for new in new {
            match self.node.pin(new.added.root).await {
                Ok(_) => pinned.push(new),
                Err(error) => self.not_taken(new.path, new.fingerprint, &error.into()),
            }
        }
        pinned
    }

    async fn publish(&mut self) -> Result<(), ProposerError> {
        let (taken, away) = (self.ledger.taken(), self.ledger.away());
        let shared = &self.kept() - &self.ledger.withheld();
        let kept = &shared - &away;
        let now = self.swarm.read(|_, now| now).await?;
        let missed = self.ledger.long_missing(now);
        let listed = taken.iter().filter(|(file, _)| !missed.contains(&file.volume));
        let listed = listed.map(|(_, taken)| taken.cid).filter(|cid| shared.contains(cid)).collect();
        let own = taken.into_iter().filter(|(_, taken)| kept.contains(&taken.cid));
        let own_file = |(file, taken): (SharedPath, Taken)| {
            let Fingerprint { size, modified, .. } = taken.fingerprint;
            (taken.cid, OwnFile::at(&file.path, modified).of_size(size))
        };
        let own = own.map(own_file);
        self.decisions.decider().set_own_files(own.collect());
        let catalogued = self.ledger.catalogued().borrow().clone();
        let has_catalog = catalogued.as_ref().is_some_and(|files| !files.is_empty());
        self.decisions.decider().set_catalogued(catalogued);
        self.decisions.decide().await?;
        let (shortage, open) = (self.decisions.decider().shortage(), self.pace.open());
        self.tell_listed(listed, shortage.left_out > 0);
        let left_out = if has_catalog { 0 } else { shortage.left_out };
        let shortage = Shortage { left_out, ..shortage };
        if self.ledger.left_out().send_if_modified(|left_out| left_out.note_own(shortage, open)) {
            self.ledger.tell_changed();
        }
        Ok(())
    }
}

impl Proposer {
    /// Tells which files of the shared folders the catalogue of this robot should list. Files on a missing disk
    /// stay listed for as long as a record would, so that other robots do not copy them all while a stick is unplugged.
    fn tell_listed(&self, listed: BTreeSet<Cid>, lacks_records: bool) {
        self.ledger.listing().send_if_modified(|listing| {
            let is_new = listing.own.as_ref() != Some(&listed) || listing.lacks_records.0 != lacks_records;
            (listing.own, listing.lacks_records.0) = (Some(listed), lacks_records);
            is_new
        });
    }
}

/// Waits until something changed in one of the folders. Returns the time to wait for more changes.
async fn changed(folders: &[Folder]) -> Duration {
    let mut changes: Vec<_> = folders.iter().map(|folder| Box::pin(folder.shared.changed())).collect();
    let at = std::future::poll_fn(|context| {
        let ready = changes.iter_mut().position(|change| change.as_mut().poll(context).is_ready());
        ready.map_or(Poll::Pending, Poll::Ready)
    });
    let at = at.await;
    folders.get(at).map_or(GATHER, |folder| folder.shared.gather())
}

/// Returns a path and the paths of the folders above it.
fn with_folders(path: &str) -> impl Iterator<Item = &str> {
    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
    above.chain([path])
}
