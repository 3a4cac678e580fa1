//! The I/O shell of the proposer. It watches the shared folder, adds settled files to IPFS, and publishes statements
//! about them.

mod take_error;

use crate::choose::OwnFile;
use crate::folder::{FolderSettings, Look, SharedFolder};
use crate::info::{Description, INFO_NAME};
use crate::ledger::{Ledger, Taken};
use crate::let_go::{LetGo, Reason};
use crate::propose::{self, Proposal};
use crate::scan::fingerprint;
use crate::settle::{Fingerprint, Settling};
use crate::versions::{Replaced, describe};
use crate::writers::{self, Pace, open_for_writing};
use ipfs::Cid;
use ipfs::node::Node;
use ipfs::unixfs::{AddError, Added, Content, DirectoryEntry, Format};
use service::DecisionLoop;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use store::TableError;
use swarm::{Stopped, Swarm};
use take_error::TakeError;
use tokio::sync::watch;

/// Settings of the proposer.
#[derive(Clone, Debug)]
pub(crate) struct ProposerSettings {
    pub(crate) folder: FolderSettings,
    /// Time for which a file must stay unchanged before it is added.
    pub(crate) settle: Duration,
    /// Time after which the folder is scanned although no change was reported. Reports get lost, and network drives
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

/// A file that was added to IPFS but is not pinned yet.
struct New {
    path: String,
    fingerprint: Fingerprint,
    description: Description,
    added: Added,
}

struct Proposer {
    folder: SharedFolder,
    /// Path of the folder without symbolic links.
    real: PathBuf,
    rescan: Duration,
    swarm: Swarm,
    node: Node,
    ledger: Ledger,
    decisions: DecisionLoop<Proposal>,
    settling: Settling,
    /// Schedule for the scans of the open files of all processes.
    pace: Pace,
    started: Instant,
    /// Files that could not be added, and the time of the next retry.
    failed: BTreeMap<String, Duration>,
    /// Damaged files and files with secret keys. They are not shared as long as their fingerprint stays the same.
    damaged: BTreeMap<String, Fingerprint>,
    /// Files that were added and will be pinned together.
    new: Vec<New>,
    /// Time at which the first of these files was added.
    new_since: Duration,
}

/// Shares the files of the folder until the future is dropped. It ends only with an error.
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
        let ProposerSettings { folder, settle, rescan } = settings;
        let (real, settling) = (folder.path.clone(), Settling::new(settle));
        let (failed, damaged, new, pace) = (BTreeMap::new(), BTreeMap::new(), Vec::new(), Pace::default());
        let (started, new_since, folder) = (Instant::now(), Duration::ZERO, SharedFolder::new(folder));
        // No record triggers a decision. Records of other peers are considered at the next scan, after `rescan` at the
        // latest.
        let decisions = DecisionLoop::new(swarm.clone(), Proposal::new(swarm.me()), |_| false, GATHER);
        Self {
            folder,
            real,
            rescan,
            swarm,
            node,
            ledger,
            decisions,
            settling,
            pace,
            started,
            failed,
            damaged,
            new,
            new_since,
        }
    }

    /// Waits until there is a reason to scan the folder: a change, or the time `next`.
    async fn wait(&mut self, next: Option<Duration>) -> Result<(), ProposerError> {
        let rescan = self.started.elapsed() + self.rescan;
        let wake = self.started + next.map_or(rescan, |next| next.min(rescan));
        loop {
            tokio::select! {
                () = self.folder.changed() => {
                    tokio::time::sleep(self.folder.gather()).await;
                    return Ok(());
                }
                () = self.ledger.lost() => {
                    tokio::time::sleep(GATHER).await;
                    return Ok(());
                }
                () = tokio::time::sleep_until(wake.into()) => return Ok(()),
                () = self.decisions.changed() => self.publish().await?,
            }
        }
    }

    /// Scans the folder once, and adds, forgets and proposes files accordingly. Returns the time of the next scan for
    /// files that still change or that must be retried.
    async fn look(&mut self) -> Result<Option<Duration>, ProposerError> {
        let taken = self.ledger.taken();
        let known = taken.keys().cloned().collect();
        let Look { folder, found, unseen, is_other } = self.folder.look(known).await;
        self.real = folder;
        // Without a scan result, no file counts as new or as gone.
        let Some(found) = found else { return Ok(None) };
        self.forget(propose::gone(&found, &unseen, &taken), &taken).await?;
        self.ledger.note_looks(propose::unnoted(&found, &taken)).await?;
        self.ledger.set_changing(propose::changing(&found, &taken));
        if is_other {
            self.check(found.keys().filter(|path| taken.contains_key(*path))).await;
        }
        // Retry times in the past are dropped, since they would end the wait at once.
        let elapsed = self.started.elapsed();
        self.failed.retain(|path, again| found.contains_key(path) && *again > elapsed);
        let (settled, next) = self.settling.observe(found, self.started.elapsed());
        self.damaged.retain(|path, as_it_was| settled.get(path).is_none_or(|now| now == as_it_was));
        let as_it_should_be = &self.kept() | &self.ledger.withheld();
        let (finished, again) = self.finished(propose::to_add(&settled, &taken, &as_it_should_be)).await;
        for (path, fingerprint) in finished {
            self.add(path, fingerprint).await?;
        }
        self.finish().await?;
        self.let_older_go().await?;
        self.publish().await?;
        Ok(self.failed.values().copied().chain(next).chain(again).min())
    }

    /// Returns the files that no process holds open for writing, and the time to check the others again.
    async fn finished(
        &mut self,
        mut files: Vec<(String, Fingerprint)>,
    ) -> (Vec<(String, Fingerprint)>, Option<Duration>) {
        let elapsed = self.started.elapsed();
        files.retain(|(path, _)| !self.must_wait(path));
        if files.is_empty() {
            self.pace.note_none();
            return (files, None);
        }
        if elapsed < self.pace.next() {
            return (Vec::new(), Some(self.pace.next()));
        }
        let sought: Vec<(String, PathBuf)> =
            files.iter().map(|(path, _)| (path.clone(), self.real.join(path))).collect();
        let looking = move || open_for_writing(Path::new(writers::PROCESSES), &sought);
        let open = tokio::task::spawn_blocking(looking).await;
        let open = open.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        files.retain(|(path, _)| !open.contains(path));
        let now = self.started.elapsed();
        (files, self.pace.note(open, now, now.saturating_sub(elapsed)))
    }

    /// Returns whether a file that could not be added must not be retried yet.
    fn must_wait(&self, path: &str) -> bool {
        let is_too_early = self.failed.get(path).is_some_and(|again| *again > self.started.elapsed());
        is_too_early || self.damaged.contains_key(path)
    }

    /// Unpins older versions of files. Their bytes are not in the folder any more.
    async fn let_older_go(&self) -> Result<(), ProposerError> {
        let (replaced, _) = self.ledger.replaced();
        let older = replaced.into_iter().filter(|(_, state)| matches!(state, Replaced::By(..)));
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

    /// Lets go of files that are no longer in the folder. This node does not keep them any more and withdraws its
    /// statements.
    async fn forget(&self, gone: Vec<String>, taken: &BTreeMap<String, Taken>) -> Result<(), ProposerError> {
        if gone.is_empty() {
            return Ok(());
        }
        let time = self.swarm.read(|_, now| now).await?;
        let deleted = propose::deleted(&gone, taken);
        let row = |cid: &Cid| (*cid, LetGo { reason: Reason::Deleted, time });
        self.ledger.let_go(deleted.iter().map(row).collect()).await?;
        for file in &gone {
            tracing::info!(
                file,
                "a file was deleted from the shared folder; this robot does not hold it any more, other robots may"
            );
        }
        self.ledger.forget_paths(gone.clone()).await?;
        self.check(gone.iter()).await;
        Ok(())
    }

    /// Has the node check the files that it serves at these paths, since they may have been removed or replaced.
    async fn check(&self, paths: impl Iterator<Item = &String>) {
        let paths = paths.map(|path| self.real.join(path)).collect();
        if let Err(error) = self.node.check_files(Some(paths)).await {
            tracing::warn!(%error, "missing files could not be recorded; they will be found again after the next start");
        }
    }

    async fn add(&mut self, path: String, fingerprint: Fingerprint) -> Result<(), ProposerError> {
        let elapsed = self.started.elapsed();
        if self.must_wait(&path) {
            return Ok(());
        }
        match self.take(&path, fingerprint).await {
            Ok(new) => {
                if self.new.is_empty() {
                    self.new_since = elapsed;
                }
                self.new.push(new);
                if self.new.len() >= TOGETHER.1 || self.started.elapsed() >= self.new_since + TOGETHER.0 {
                    self.finish().await?;
                }
            }
            Err(error) => self.not_taken(path, fingerprint, &error),
        }
        Ok(())
    }

    fn not_taken(&mut self, path: String, fingerprint: Fingerprint, error: &TakeError) {
        let again = match error {
            // The file is added later, when it has stopped changing.
            TakeError::Changed | TakeError::Add(AddError::Changed(_)) => return,
            TakeError::Damaged | TakeError::Key => {
                tracing::warn!(file = path, %error, "a file is not shared");
                self.damaged.insert(path, fingerprint);
                return;
            }
            error if error.is_full() => LOOK_FOR_ROOM,
            _ => TRY_AGAIN,
        };
        tracing::warn!(file = path, %error, again_in = ?again, "a file cannot be shared");
        self.failed.insert(path, self.started.elapsed() + again);
    }

    /// Adds a file in place. Its content is not copied.
    async fn take(&self, path: &str, fingerprint: Fingerprint) -> Result<New, TakeError> {
        let file = self.real.join(path);
        if service::holds_key(&file, self.swarm.me()) {
            return Err(TakeError::Key);
        }
        let description = describe(path, fingerprint, self.swarm.me());
        let entries = vec![
            DirectoryEntry { path: description.filename.clone(), content: Content::InPlace(file.clone()) },
            DirectoryEntry {
                path: INFO_NAME.to_owned(),
                content: Content::Bytes(description.to_yaml()?.into_bytes().into()),
            },
        ];
        let added = self.node.add_directory(entries, Format::V1, watch::Sender::default()).await?;
        if !is_unchanged(&file, fingerprint) {
            return Err(TakeError::Changed);
        }
        let before = self.ledger.taken().get(path).copied();
        let before = before.filter(|before| before.cid != added.root && !self.ledger.is_foreign(&before.cid));
        if before.is_some_and(|before| before.fingerprint.is_like(&fingerprint)) {
            return Err(TakeError::Damaged);
        }
        Ok(New { path: path.to_owned(), fingerprint, description, added })
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
            tracing::info!(file = path, cid = %added.root, bytes = fingerprint.size, "a file was taken into the swarm");
            self.failed.remove(path);
        }
        let row = |New { path, fingerprint, description, added }: New| {
            (path, Taken { fingerprint, cid: added.root }, description)
        };
        self.ledger.take(new.into_iter().map(row).collect()).await?;
        self.publish().await
    }

    /// Returns the files without those that must not be shared. Notes the latter, so that they are not read again.
    async fn pass_over_withheld(&self, new: Vec<New>) -> Result<Vec<New>, ProposerError> {
        let withheld = self.ledger.withheld();
        let (passed, new): (Vec<New>, Vec<New>) =
            new.into_iter().partition(|new| withheld.contains(&new.added.root));
        let row = |new: New| (new.path, Taken { fingerprint: new.fingerprint, cid: new.added.root });
        if !passed.is_empty() {
            self.ledger.pass_over(passed.into_iter().map(row).collect()).await?;
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
        let (taken, kept) = (self.ledger.taken(), self.kept());
        let own = taken.into_iter().filter(|(_, taken)| kept.contains(&taken.cid));
        let own_file = |(path, taken): (String, Taken)| {
            let Fingerprint { size, modified, .. } = taken.fingerprint;
            (taken.cid, OwnFile::at(&path, modified).of_size(size))
        };
        let own = own.map(own_file);
        self.decisions.decider().set_own_files(own.collect());
        self.decisions.decide().await?;
        let (shortage, open) = (self.decisions.decider().shortage(), self.pace.open());
        if self.ledger.left_out().send_if_modified(|left_out| left_out.note_own(shortage, open)) {
            self.ledger.tell_changed();
        }
        Ok(())
    }
}

fn is_unchanged(file: &Path, before: Fingerprint) -> bool {
    std::fs::symlink_metadata(file).is_ok_and(|metadata| fingerprint(&metadata) == before)
}
