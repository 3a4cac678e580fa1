//! Runs the downloads that users ordered, while there is an IPFS node.

use crate::downloads::{Downloads, Phase, is_written_here, most};
use crate::protocol::Order;
use crate::schedule::PARALLEL;
use ipfs::Cid;
use ipfs::node::{FetchError, FetchProgress, Fetched, Node, PinError, Provider};
use ipfs::unixfs::{ExportError, ReadError, is_plain_name};
use service::{DecisionLoop, JobEnd, JobError, JobNumber, ProviderSearch, concerns_providers};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use swarm::Stopped;
use tokio::sync::watch;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::sleep;

/// Time to wait before a download is retried after an error other than a stall, such as a full disk.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// Time in which records about providers are gathered for one decision.
const GATHER: Duration = Duration::from_millis(500);

/// Error that ends the runner.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunnerError {
    /// The result of a download cannot be written to the disk.
    #[error(transparent)]
    Job(#[from] JobError),
    /// The daemon is stopping.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// Result of a successful download.
enum Outcome {
    /// The content was delivered, with its size in bytes.
    Done(u64),
    /// The content is complete and waits until the client reads it.
    Whole(Fetched),
}

/// Reason why a download stopped.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(
        "it is larger than the block store of this host may become, {0} bytes: raise `store_max_mib` in the \
         configuration file"
    )]
    NeverFits(u64),
    #[error("it cannot be pinned: {0}")]
    Pin(#[from] PinError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    #[error("its task panicked")]
    Died,
}

struct Runner {
    downloads: Downloads,
    node: Node,
    search: DecisionLoop<ProviderSearch>,
    fetches: JoinSet<Result<Outcome, Trouble>>,
    running: BTreeMap<Id, Running>,
}

struct Running {
    number: JobNumber,
    root: Cid,
    providers: watch::Sender<Vec<Provider>>,
    progress: watch::Receiver<FetchProgress>,
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.downloads.rest();
    }
}

/// Runs the downloads that users ordered, until the future is dropped.
///
/// # Errors
/// When the disk fails, or the daemon is stopping.
pub(crate) async fn run_downloads(downloads: Downloads, node: Node) -> Result<Infallible, RunnerError> {
    let swarm = downloads.context.swarm.clone();
    let listed_by = downloads.context.listed_by.clone();
    let search = ProviderSearch::new(swarm.me()).with_catalogs(listed_by);
    let search = DecisionLoop::new(swarm, search, concerns_providers, GATHER);
    let (fetches, running) = (JoinSet::new(), BTreeMap::new());
    let mut runner = Runner { downloads, node, search, fetches, running };
    loop {
        runner.begin();
        runner.tell_providers().await?;
        let again = runner.downloads.until_next();
        tokio::select! {
            () = runner.downloads.jobs.changed() => {}
            () = runner.search.changed() => {}
            Some(ended) = runner.fetches.join_next_with_id() => runner.ended(ended).await?,
            () = sleep(again.unwrap_or_default()), if again.is_some() && runner.fetches.len() < PARALLEL => {}
        }
    }
}

impl Runner {
    /// Starts downloads while there are free slots.
    fn begin(&mut self) {
        while self.fetches.len() < PARALLEL
            && let Some((number, order)) = self.downloads.next()
        {
            let Some(root) = order.root() else { return };
            let (providers, known) = watch::channel(Vec::new());
            let (progress, watched) = watch::channel(FetchProgress::default());
            let (downloads, node) = (self.downloads.clone(), self.node.clone());
            let delivery = Delivery { downloads, node, number, order };
            let fetch = self.fetches.spawn(delivery.run(root, known, progress));
            self.downloads.jobs.change(number, |job| job.local.phase = Phase::Running(fetch.clone()));
            let running = Running { number, root, providers, progress: watched };
            self.running.insert(fetch.id(), running);
        }
        if self.fetches.len() >= PARALLEL {
            self.downloads.queue();
        }
    }

    /// Updates the providers of the running downloads.
    async fn tell_providers(&mut self) -> Result<(), Stopped> {
        let roots = self.running.values().map(|running| running.root).collect();
        self.search.decider().set_roots(roots);
        let mut known: BTreeMap<Cid, Vec<Provider>> = self.search.decide().await?.into_iter().collect();
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
                tracing::info!(%number, bytes, "a download is done");
                self.downloads.jobs.end(number, JobEnd::Done(bytes)).await?;
            }
            Ok(Outcome::Whole(fetched)) => {
                tracing::info!(%number, bytes, "a download is complete and waits to be collected");
                self.downloads.jobs.change(number, |job| job.local.phase = Phase::Whole(fetched));
            }
            Err(trouble) if trouble.is_final() => {
                tracing::warn!(%number, %trouble, "a download failed");
                self.downloads.jobs.end(number, JobEnd::Failed(trouble.to_string())).await?;
            }
            Err(trouble) => self.put_off(number, bytes, &trouble),
        }
        Ok(())
    }

    fn put_off(&self, number: JobNumber, bytes: u64, trouble: &Trouble) {
        tracing::debug!(%number, %trouble, "a download continues later");
        let now = self.downloads.now();
        self.downloads.jobs.change(number, |job| {
            let local = &mut job.local;
            (local.phase, local.reason, local.bytes) = (Phase::Idle, Some(trouble.message()), bytes);
            local.stalled = Some(now);
            // A stalled download is retried at once, unless another one waits for the slot.
            let is_stalled = matches!(trouble, Trouble::Fetch(FetchError::Stalled { .. }));
            local.not_before = (!is_stalled).then_some(now + TRY_AGAIN);
        });
    }
}

impl Trouble {
    /// Converts an error of [`Node::fetch`]. `most` is the capacity of the block store in bytes.
    fn of_fetch(error: FetchError, most: u64) -> Self {
        match error {
            FetchError::TooLarge(limit) if limit >= most => Self::NeverFits(most),
            other => Self::Fetch(other),
        }
    }

    /// Returns whether the error is permanent, so that a retry is useless.
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
            Self::Export(_) | Self::Exists(_) | Self::NeverFits(_) => true,
        }
    }

    /// Returns the reason why the download waits, as a sentence.
    fn message(&self) -> String {
        match self {
            Self::Fetch(FetchError::Stalled { .. }) => "no connected peer sends it".to_owned(),
            Self::Export(ExportError::Write(path, error)) if is_full(error) => {
                format!("there is no room for {}: delete files on that disk", path.display())
            }
            other => other.to_string(),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The task of one download, from its first block to its destination.
struct Delivery {
    downloads: Downloads,
    node: Node,
    number: JobNumber,
    order: Order,
}

impl Delivery {
    async fn run(
        self,
        root: Cid,
        providers: watch::Receiver<Vec<Provider>>,
        progress: watch::Sender<FetchProgress>,
    ) -> Result<Outcome, Trouble> {
        let (name, limits) = (&self.order.name, self.order.limits(most(&self.node)));
        let fetched = self.node.fetch_from(name, root, providers, limits, progress).await;
        let fetched = fetched.map_err(|error| Trouble::of_fetch(error, most(&self.node)))?;
        self.downloads.jobs.change(self.number, |job| {
            if let Phase::Running(fetch) = &job.local.phase {
                job.local.phase = Phase::Writing(fetch.clone());
            }
        });
        if self.order.pin {
            self.node.pin_by_person(root).await?;
        }
        match &self.order.destination {
            None if self.order.pin => Ok(Outcome::Done(fetched.summary.bytes)),
            Some(to) if is_written_here(&self.order) => {
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
        let content = match &self.order.payload {
            None => root,
            Some(payload) => {
                let mut entries = self.node.list(root).await?.into_iter();
                let found = entries.find(|entry| entry.name == *payload);
                let found = found.ok_or_else(|| ReadError::NoSuchEntry(payload.clone()))?.cid;
                self.check_folder(found).await?;
                found
            }
        };
        Ok(Outcome::Done(self.node.export(content, path, max_bytes).await?))
    }

    /// Checks that a folder that is one log has only files with plain names. A file passes as well.
    async fn check_folder(&self, content: Cid) -> Result<(), Trouble> {
        let files = match self.node.list(content).await {
            Ok(files) => files,
            Err(ReadError::WrongKind(..)) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for file in files {
            if !is_plain_name(&file.name) {
                return Err(ReadError::ForbiddenName(file.name).into());
            }
            match self.node.list(file.cid).await {
                Err(ReadError::WrongKind(..)) => {}
                Ok(_) => return Err(ReadError::WrongKind(file.cid, "file").into()),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(size: Option<u64>) -> Order {
        let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku".into();
        Order { cid, name: "a.bag".into(), payload: None, size, destination: None, pin: false, priority: 0 }
    }

    #[test]
    fn a_download_larger_than_the_store_fails_permanently_and_names_the_setting() {
        let most = 64 << 20;
        // For a claimed size just below the capacity, the limit is the capacity and not the claimed size plus the overhead.
        for size in [None, Some(u64::MAX), Some(most), Some(most - 1)] {
            let limit = order(size).limits(most).max_bytes;
            assert_eq!(limit, most, "{size:?}");
            let trouble = Trouble::of_fetch(FetchError::TooLarge(limit), most);
            assert!(trouble.is_final());
            assert!(trouble.to_string().contains("`store_max_mib`"), "{trouble}");
        }
        let limit = order(Some(1 << 20)).limits(most).max_bytes;
        assert!((1 << 20..2 << 20).contains(&limit), "{limit}");
        let trouble = Trouble::of_fetch(FetchError::TooLarge(limit), most);
        assert!(
            trouble.is_final() && !trouble.to_string().contains("store_max_mib"),
            "the file is larger than its claimed size, so the setting of the store is not the cause"
        );
    }
}
