//! The proposer's shell: watches the shared folder, adds what settled, and says so.

use crate::index::index;
use crate::info::{Description, INFO_NAME};
use crate::ledger::{Ledger, LedgerError, Taken};
use crate::propose;
use crate::scan::{fingerprint, scan};
use crate::settle::{Fingerprint, Settling};
use dcache::Time;
use ipfs::node::Node;
use ipfs::unixfs::{AddError, Content, DirectoryEntry, Format};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use swarm::{SayError, Stopped, Swarm};
use tokio::sync::{Notify, watch};

/// What the proposer needs to know.
#[derive(Clone, Debug)]
pub struct ProposerSettings {
    /// The shared folder; made when it is not there.
    pub folder: PathBuf,
    /// How long a file must stay the same.
    pub settle: Duration,
    /// How often the folder is looked at when no change was reported: reports get lost, network drives send none.
    pub rescan: Duration,
}

/// A file that could not be added is tried again after this.
const TRY_AGAIN: Duration = Duration::from_secs(60);
/// Several reports of changes in this time are one.
const GATHER: Duration = Duration::from_millis(200);

/// Why the proposer cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum ProposerError {
    /// The shared folder cannot be used.
    #[error("the shared folder {0} cannot be read: {1}")]
    Folder(PathBuf, std::io::Error),
    /// The ledger cannot be written.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Why one file was not added.
#[derive(Debug, thiserror::Error)]
enum TakeError {
    #[error("it was changed meanwhile")]
    Changed,
    #[error(transparent)]
    Add(#[from] AddError),
    #[error(transparent)]
    Pin(#[from] ipfs::node::PinError),
    #[error(transparent)]
    Info(#[from] crate::InfoError),
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

struct Proposer {
    settings: ProposerSettings,
    swarm: Swarm,
    node: Node,
    ledger: Ledger,
    settling: Settling,
    started: Instant,
    /// Files that could not be added, and when to try again.
    failed: BTreeMap<String, Duration>,
}

/// Shares what is put into the folder, until it is dropped; ends only with an error.
///
/// # Errors
/// When the folder cannot be read or the ledger not be written.
pub async fn run_proposer(
    settings: ProposerSettings,
    swarm: Swarm,
    node: Node,
    ledger: Ledger,
) -> Result<(), ProposerError> {
    let folder = settings.folder.clone();
    std::fs::create_dir_all(&folder).map_err(|error| ProposerError::Folder(folder.clone(), error))?;
    let reported = Arc::new(Notify::new());
    let _watcher = watch_folder(&folder, reported.clone());
    let settling = Settling::new(settings.settle);
    let failed = BTreeMap::new();
    let mut proposer = Proposer { settings, swarm, node, ledger, settling, started: Instant::now(), failed };
    loop {
        let next = proposer.look().await?;
        let rescan = proposer.started.elapsed() + proposer.settings.rescan;
        let wake = proposer.started + next.map_or(rescan, |next| next.min(rescan));
        tokio::select! {
            () = reported.notified() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep_until(wake.into()) => {}
        }
    }
}

/// Reports changes in the folder for as long as what it returns lives.
fn watch_folder(folder: &Path, reported: Arc<Notify>) -> Option<RecommendedWatcher> {
    let report = move |_: notify::Result<notify::Event>| reported.notify_one();
    let watching = notify::recommended_watcher(report).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    watching
        .inspect_err(|error| tracing::warn!(%error, "no reports of changes in the shared folder; looking now and then"))
        .ok()
}

impl Proposer {
    /// Looks at the folder once, and does what follows; returns when to look again for files that still change.
    async fn look(&mut self) -> Result<Option<Duration>, ProposerError> {
        let folder = self.settings.folder.clone();
        let scanned = tokio::task::spawn_blocking(move || scan(&folder)).await;
        let scanned = scanned.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let found = scanned.map_err(|error| ProposerError::Folder(self.settings.folder.clone(), error))?;
        let taken = self.ledger.taken();
        self.ledger.forget_paths(propose::gone(&found, &taken)).await?;
        let (settled, next) = self.settling.observe(found, self.started.elapsed());
        for (path, fingerprint) in propose::to_add(&settled, &taken) {
            self.add(path, fingerprint).await?;
        }
        self.say().await?;
        Ok(next)
    }

    async fn add(&mut self, path: String, fingerprint: Fingerprint) -> Result<(), ProposerError> {
        let elapsed = self.started.elapsed();
        if self.failed.get(&path).is_some_and(|again| *again > elapsed) {
            return Ok(());
        }
        match self.take(&path, fingerprint).await {
            Ok(cid) => {
                tracing::info!(file = path, %cid, bytes = fingerprint.size, "a file was taken into the swarm");
                self.failed.remove(&path);
                // Each as soon as it is there: a long queue must not hold up the first.
                self.say().await?;
            }
            Err(TakeError::Changed) => {}
            Err(TakeError::Ledger(error)) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(file = path, %error, "a file cannot be shared; trying again in a minute");
                self.failed.insert(path, elapsed + TRY_AGAIN);
            }
        }
        Ok(())
    }

    async fn take(&self, path: &str, fingerprint: Fingerprint) -> Result<ipfs::Cid, TakeError> {
        let file = self.settings.folder.join(path);
        let description = self.describe(path, fingerprint);
        let entries = vec![
            DirectoryEntry { path: description.filename.clone(), content: Content::File(file.clone()) },
            DirectoryEntry {
                path: INFO_NAME.to_owned(),
                content: Content::Bytes(description.to_yaml()?.into_bytes().into()),
            },
        ];
        let added = self.node.add_directory(entries, Format::V1, watch::Sender::default()).await?;
        if !is_unchanged(&file, fingerprint) {
            return Err(TakeError::Changed);
        }
        self.node.pin(added.root).await?;
        let taken = Taken { fingerprint, cid: added.root };
        self.ledger.take(path.to_owned(), taken, description).await?;
        Ok(added.root)
    }

    fn describe(&self, path: &str, fingerprint: Fingerprint) -> Description {
        let filename = path.rsplit('/').next().unwrap_or(path).to_owned();
        let changed = Time(fingerprint.modified / 1_000_000_000);
        Description { filename, size: fingerprint.size, changed, uploader: self.swarm.me() }
    }

    async fn say(&self) -> Result<(), ProposerError> {
        let (taken, me) = (self.ledger.taken(), self.swarm.me());
        let reading = move |set: &dcache::Set, now| propose::statements(&index(set, now), &taken, me, now);
        let statements = self.swarm.read(reading).await?;
        match self.swarm.say_what_counts(statements).await {
            Err(SayError::Stopped(stopped)) => Err(stopped.into()),
            Err(error) => {
                tracing::warn!(%error, "shared files could not be declared; trying again");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

fn is_unchanged(file: &Path, before: Fingerprint) -> bool {
    std::fs::symlink_metadata(file).is_ok_and(|metadata| fingerprint(&metadata) == before)
}
