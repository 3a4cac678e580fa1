//! The I/O shell of the service: handles requests with the IPFS node and its block store.

use crate::protocol::{Answer, FileRow, FileState, Freed, PinRow, Pinned, Request, Storage};
use crate::work::{add, fetch_and_pin};
use ipfs::Cid;
use ipfs::store::{self, Store, StoreError};
use serde::{Deserialize, Serialize};
use service::{
    Context, Endpoint, Failure, FailureKind, JobError, JobKind, JobNumber, Jobs, Protocol, Service,
    ServiceError, page,
};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;

/// The store counts as full if it has no room for this number of bytes.
const SOME_ROOM: u64 = 1024 * 1024;

/// The section `[content]` of the configuration. It has no keys.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {}

/// The work that a client requested as a job of this service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Adds the file at this path.
    Add(PathBuf),
    /// Fetches and pins the content with this CID.
    Pin(String),
}

/// Types of the orders and results of this service's jobs.
pub(crate) struct Work;

impl JobKind for Work {
    type Order = Order;
    type Outcome = Pinned;
    type Local = ();
    const MAX_OPEN: usize = 8;
    const MAX_ENDED: usize = 8;
}

/// The service `content`.
pub struct Content {
    context: Context,
    jobs: Jobs<Work>,
}

impl Protocol for Content {
    const NAME: &'static str = "content";
    type Request = Request;
    type Answer = Answer;
}

impl Endpoint for Content {
    async fn handle(&self, request: Request) -> Result<Answer, Failure> {
        match request {
            Request::Add { path, copy } => self.add(path.into(), copy).await,
            Request::Pin { cid } => self.pin(&cid).await,
            Request::Job { job } => Ok(Answer::Job(self.jobs.wait(job).await?)),
            Request::Cancel { job } => self.cancel(job).await,
            Request::Unpin { cid } => self.unpin(&cid).await,
            Request::CollectGarbage {} => self.collect_garbage().await,
            Request::Storage {} => self.storage().await,
            Request::Pins { from } => self.pins(from).await,
            Request::Files { from } => self.files(from).await,
        }
    }
}

impl Service for Content {
    type Settings = Settings;

    fn open(context: Context, _settings: Settings) -> Result<Self, ServiceError> {
        Ok(Self { context, jobs: Jobs::in_memory() })
    }

    async fn run(&self) -> Result<Infallible, ServiceError> {
        // The jobs run in tasks of their own, so there is nothing to do.
        std::future::pending().await
    }
}

impl Content {
    async fn add(&self, path: PathBuf, copy: bool) -> Result<Answer, Failure> {
        let node = self.context.current_node()?;
        if !path.is_absolute() {
            return Err(Failure::new(FailureKind::Wrong, "the path of the file has to be absolute"));
        }
        let order = Order::Add(path.clone());
        let context = self.context.clone();
        let job = self.jobs.run(order, |reporter| add(node, context, path, copy, reporter)).await?;
        Ok(Answer::Started { job })
    }

    async fn pin(&self, cid: &str) -> Result<Answer, Failure> {
        let (node, root) = (self.context.current_node()?, parse(cid)?);
        let known = (self.context.swarm.clone(), self.context.listed_by.clone());
        let order = Order::Pin(cid.to_owned());
        let job = self.jobs.run(order, |reporter| fetch_and_pin(known, node, root, reporter)).await?;
        Ok(Answer::Started { job })
    }

    async fn cancel(&self, job: JobNumber) -> Result<Answer, Failure> {
        let cancelled = self.jobs.cancel(|number, _| number == job).await?;
        if cancelled.is_empty() { Err(JobError::Unknown(job).into()) } else { Ok(Answer::Done {}) }
    }

    async fn unpin(&self, cid: &str) -> Result<Answer, Failure> {
        let root = parse(cid)?;
        let unpinned = self.context.current_node()?.unpin(root).await;
        let unknown =
            || Failure::new(FailureKind::Wrong, format!("{cid} is not pinned; `storage` lists the pins"));
        match unpinned.map_err(|error| Failure::new(FailureKind::Disk, error))? {
            true => Ok(Answer::Done {}),
            false => Err(unknown()),
        }
    }

    async fn collect_garbage(&self) -> Result<Answer, Failure> {
        let freed = self.blocking(Store::collect_garbage).await?;
        let store::Freed { blocks, bytes, files } = freed.map_err(|error| disk(&error))?;
        Ok(Answer::Freed(Freed { blocks, bytes, files }))
    }

    async fn storage(&self) -> Result<Answer, Failure> {
        let store = self.context.current_node()?.store().clone();
        let counting = |store: &Store| Ok((store.pins()?.len(), store.incomplete_pins()?.len()));
        let (pins, incomplete_pins) =
            self.blocking(counting).await?.map_err(|error: StoreError| disk(&error))?;
        let (usage, free) = (store.usage(), store.free_bytes().map_err(|error| disk(&error))?);
        Ok(Answer::Storage(Storage {
            used: usage.used_bytes,
            max: usage.max_bytes,
            blocks: usage.blocks,
            free,
            min_free: store.min_free_bytes(),
            pins,
            incomplete_pins,
            files: store.files_number(),
            full: store.has_room(SOME_ROOM).err().map(|error| error.to_string()),
        }))
    }

    async fn pins(&self, from: usize) -> Result<Answer, Failure> {
        let listed = self.blocking(|store| Ok((store.pins()?, store.incomplete_pins()?))).await?;
        let (pins, incomplete) = listed.map_err(|error: StoreError| disk(&error))?;
        let incomplete: BTreeSet<Cid> = incomplete.into_iter().collect();
        let row = |pin: store::Pin| PinRow {
            is_whole: !incomplete.contains(&pin.root),
            cid: pin.root.to_string(),
            time: pin.time,
            bytes: pin.bytes,
        };
        Ok(Answer::Pins { pins: page(pins.into_iter().skip(from).map(row), |_| 0) })
    }

    async fn files(&self, from: usize) -> Result<Answer, Failure> {
        let files = self.blocking(move |store| store.files(from, service::MAX_PAGE_ROWS)).await?;
        Ok(Answer::Files { files: page(files.into_iter().map(file_row), |row| row.path.len()) })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let store = self.context.current_node()?.store().clone();
        let done = tokio::task::spawn_blocking(move || work(&store)).await;
        done.map_err(|_| Failure::new(FailureKind::Disk, "the thread that uses the block store failed"))
    }
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
    cid.parse().map_err(|error| Failure::new(FailureKind::Wrong, format!("{cid} is not a CID: {error}")))
}

fn disk(error: &StoreError) -> Failure {
    Failure::new(FailureKind::Disk, error)
}
