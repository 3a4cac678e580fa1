//! Fetches what was ordered, as long as there is a node.

use crate::BookError;
use crate::download::{Download, End};
use crate::downloads::{Downloads, Phase, is_written_here};
use crate::turns::PARALLEL;
use ipfs::Cid;
use ipfs::node::{FetchError, FetchProgress, Fetched, Node, PinError, Provider};
use ipfs::unixfs::{ExportError, ReadError};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use swarm::Stopped;
use tokio::sync::{broadcast, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep};

/// After trouble with the disk it is tried again so much later.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// How often to look whether something may go on.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Changes of who has what are looked at so often at most.
const GATHER: Duration = Duration::from_millis(500);

/// Why nothing is fetched any more.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// What ended cannot be written down.
    #[error(transparent)]
    Book(#[from] BookError),
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// What became of a download.
enum Outcome {
    /// It is where it was to go.
    Done(u64),
    /// It is here, and waits to be collected.
    Whole(Fetched),
}

/// Why it is not there yet.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("it cannot be pinned: {0}")]
    Pin(#[from] PinError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    #[error("it died with a panic")]
    Died,
}

struct Runner {
    downloads: Downloads,
    node: Node,
    jobs: JoinSet<Result<Outcome, Trouble>>,
    running: BTreeMap<Id, Running>,
}

struct Running {
    number: u64,
    root: Cid,
    providers: watch::Sender<Vec<Provider>>,
    progress: watch::Receiver<FetchProgress>,
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.downloads.rest();
    }
}

/// Fetches what was ordered until it is dropped; ends only with an error.
///
/// # Errors
/// When the disk fails, or the daemon is stopping.
pub async fn run_downloads(downloads: Downloads, node: Node) -> Result<(), RunnerError> {
    let mut changes = downloads.0.swarm.changes();
    let mut runner = Runner { downloads, node, jobs: JoinSet::new(), running: BTreeMap::new() };
    loop {
        runner.begin();
        runner.tell_providers().await?;
        tokio::select! {
            () = runner.downloads.0.changed.notified() => {}
            () = something_was_shared(&mut changes) => sleep(GATHER).await,
            Some(ended) = runner.jobs.join_next_with_id() => runner.ended(ended).await?,
            () = sleep(LOOK_AGAIN), if runner.jobs.len() < PARALLEL => {}
        }
    }
}

async fn something_was_shared(changes: &mut broadcast::Receiver<dcache::Record>) {
    loop {
        match changes.recv().await {
            Ok(record) if !logs::keep::is_of_interest(&record.item().bucket) => {}
            Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
            // The sender lives in the handle that we hold.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

impl Runner {
    /// Begins as many as there are places for.
    fn begin(&mut self) {
        while self.jobs.len() < PARALLEL
            && let Some((number, download)) = self.downloads.next()
        {
            let Some(root) = download.root() else { return };
            let (providers, known) = watch::channel(Vec::new());
            let (progress, watched) = watch::channel(FetchProgress::default());
            let job = Job { downloads: self.downloads.clone(), node: self.node.clone(), number, download };
            let job = self.jobs.spawn(job.run(root, known, progress));
            self.downloads.change(number, |item| item.phase = Phase::Running(job.clone()));
            let running = Running { number, root, providers, progress: watched };
            self.running.insert(job.id(), running);
        }
        if self.jobs.len() >= PARALLEL {
            self.downloads.queue();
        }
    }

    /// Lets those that run know who has what.
    async fn tell_providers(&self) -> Result<(), Stopped> {
        let roots = self.running.values().map(|running| running.root).collect();
        let mut known = logs::providers_of(&self.downloads.0.swarm, roots).await?;
        for running in self.running.values() {
            let now = known.remove(&running.root).unwrap_or_default();
            running.providers.send_if_modified(|told| {
                *told != now && {
                    *told = now;
                    true
                }
            });
        }
        Ok(())
    }

    async fn ended(
        &mut self,
        ended: Result<(Id, Result<Outcome, Trouble>), JoinError>,
    ) -> Result<(), RunnerError> {
        let (id, result) = ended.unwrap_or_else(|error| (error.id(), Err(Trouble::Died)));
        let Some(running) = self.running.remove(&id) else { return Ok(()) };
        let (number, bytes) = (running.number, running.progress.borrow().bytes);
        match result {
            Ok(Outcome::Done(bytes)) => {
                tracing::info!(number, bytes, "a download is done");
                self.downloads.end(number, End::Done(bytes)).await?;
            }
            Ok(Outcome::Whole(fetched)) => {
                tracing::info!(number, bytes, "a download is whole and waits to be collected");
                self.downloads.change(number, |item| item.phase = Phase::Whole(fetched));
            }
            Err(trouble) if trouble.is_final() => {
                tracing::warn!(number, %trouble, "a download failed");
                self.downloads.end(number, End::Failed(trouble.to_string())).await?;
            }
            Err(trouble) => self.put_off(number, bytes, &trouble),
        }
        Ok(())
    }

    fn put_off(&self, number: u64, bytes: u64, trouble: &Trouble) {
        tracing::debug!(number, %trouble, "a download goes on later");
        let now = Instant::now();
        self.downloads.change(number, |item| {
            (item.phase, item.reason, item.bytes) = (Phase::Idle, Some(trouble.words()), bytes);
            item.stalled = Some(now);
            // Who may have it is asked again at once, if nobody else waits for his turn.
            let is_stalled = matches!(trouble, Trouble::Fetch(FetchError::Stalled { .. }));
            item.not_before = (!is_stalled).then_some(now + TRY_AGAIN);
        });
    }
}

impl Trouble {
    /// Whether it will never be otherwise.
    fn is_final(&self) -> bool {
        match self {
            Self::Fetch(error) => !matches!(
                error,
                FetchError::Stalled { .. }
                    | FetchError::NoRoom(_)
                    | FetchError::Store(_)
                    | FetchError::TooManyWants(_)
                    | FetchError::Stopped
            ),
            Self::Pin(_) | Self::Died => false,
            Self::Read(error) | Self::Export(ExportError::Read(error)) => {
                !matches!(error, ReadError::Missing(_) | ReadError::Store(_))
            }
            Self::Export(ExportError::Write(_, error)) => !is_full(error),
            Self::Export(_) | Self::Exists(_) => true,
        }
    }

    /// Why it waits, for people.
    fn words(&self) -> String {
        match self {
            Self::Fetch(FetchError::Stalled { .. }) => "nobody who is connected sends it".to_owned(),
            Self::Export(ExportError::Write(path, error)) if is_full(error) => {
                format!("there is no room for {}: delete something there", path.display())
            }
            other => other.to_string(),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// One download, from its first block to its place.
struct Job {
    downloads: Downloads,
    node: Node,
    number: u64,
    download: Download,
}

impl Job {
    async fn run(
        self,
        root: Cid,
        providers: watch::Receiver<Vec<Provider>>,
        progress: watch::Sender<FetchProgress>,
    ) -> Result<Outcome, Trouble> {
        let (name, limits) = (&self.download.order.name, self.download.limits(self.downloads.0.most));
        let fetched = self.node.fetch_from(name, root, providers, limits, progress).await?;
        self.downloads.change(self.number, |item| {
            if let Phase::Running(job) = &item.phase {
                item.phase = Phase::Writing(job.clone());
            }
        });
        if self.download.order.pin {
            self.node.pin(root).await?;
        }
        match self.download.destination() {
            None if self.download.order.pin => Ok(Outcome::Done(fetched.summary.bytes)),
            Some(to) if is_written_here(&self.download) => {
                self.write(root, &to.path, to.replace, limits.max_bytes).await
            }
            _ => Ok(Outcome::Whole(fetched)),
        }
    }

    async fn write(
        &self,
        root: Cid,
        path: &std::path::Path,
        may_replace: bool,
        max_bytes: u64,
    ) -> Result<Outcome, Trouble> {
        if !may_replace && std::fs::symlink_metadata(path).is_ok() {
            return Err(Trouble::Exists(path.to_owned()));
        }
        let content = match &self.download.order.payload {
            None => root,
            Some(payload) => {
                let mut entries = self.node.list(root).await?.into_iter();
                let found = entries.find(|entry| entry.name == *payload);
                found.ok_or_else(|| ReadError::NoSuchEntry(payload.clone()))?.cid
            }
        };
        Ok(Outcome::Done(self.node.export(content, path, max_bytes).await?))
    }
}
