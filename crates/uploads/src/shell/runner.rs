//! Runs the uploads: each is a task with an [`Engine`].

use super::content::{self, Content};
use super::state::{FailedUpload, Running, State};
use super::{COMPLETED, FAILED};
use crate::decide::CancelReason;
use crate::destination::{Destination as _, Storage};
use crate::engine::{Engine, Progress};
use crate::plan::{Stage, Upload};
use crate::settings::Settings;
use crate::stated::place;
use dcache::PeerId;
use ipfs::Cid;
use ipfs::node::Node;
use logs::{Description, Receipt, SharedFile};
use service::{Context, ServiceError};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Number of files that are uploaded at a time. A file that waits for its storage or its content does not stop the other
/// one; more would only share the bandwidth.
const PARALLEL: usize = 2;
/// Minimum and maximum time after which a failed upload is tried again.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(6 * 3600));
/// Maximum time until the uploads are considered again without an event.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// A file that is uploaded.
#[derive(Clone, Debug)]
struct Job {
    cid: Cid,
    /// Description of the file; `None` if the upload is only cleaned up.
    description: Option<Description>,
}

/// Result of the task of an upload.
pub(super) struct Ended {
    job: Job,
    result: Result<Upload, String>,
}

/// An upload whose task runs.
struct Task {
    cid: Cid,
    cancelled: CancellationToken,
    abort: AbortHandle,
}

/// Time of the next attempt after failures.
struct Backoff {
    failures: u32,
    not_before: Instant,
}

/// The uploads under way.
pub(super) struct Runner {
    context: Context,
    storage: Option<Arc<Storage>>,
    state: State,
    part_bytes: u64,
    tasks: JoinSet<Ended>,
    running: BTreeMap<Id, Task>,
    backoff: BTreeMap<Cid, Backoff>,
    /// Uploads that are given up and must be cleaned up.
    cancelled: BTreeMap<Cid, CancelReason>,
    /// Files of the last decision whose uploads have not begun, in their order.
    queue: VecDeque<Box<SharedFile>>,
}

impl Runner {
    pub(super) fn new(
        context: Context,
        storage: Option<Arc<Storage>>,
        state: State,
        settings: &Settings,
    ) -> Self {
        Self {
            context,
            storage,
            state,
            part_bytes: settings.part_bytes(),
            tasks: JoinSet::new(),
            running: BTreeMap::new(),
            backoff: BTreeMap::new(),
            cancelled: BTreeMap::new(),
            queue: VecDeque::new(),
        }
    }

    /// Completes what an earlier run had no time for: an upload may have ended just before a crash.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(super) async fn settle(&mut self, recorded: BTreeMap<Cid, Upload>) -> Result<(), ServiceError> {
        for (cid, upload) in recorded.into_iter().filter(|(_, upload)| upload.is_ended()) {
            self.finish(&Job { cid, description: None }, upload).await?;
        }
        Ok(())
    }

    /// Gives an upload up.
    pub(super) fn cancel(&mut self, cid: Cid, reason: CancelReason) {
        if self.cancelled.insert(cid, reason).is_none() {
            tracing::info!(%cid, reason = reason.sentence(), "an upload is given up");
        }
        self.running.values().filter(|task| task.cid == cid).for_each(|task| task.cancelled.cancel());
    }

    /// Begins uploads in this order while there are free places, and pauses those that are not named. Returns the time at
    /// which to consider the uploads again.
    pub(super) fn follow(&mut self, files: VecDeque<Box<SharedFile>>, node: &Node) -> Instant {
        let named: BTreeSet<Cid> = files.iter().map(|file| file.cid).collect();
        let is_over = |cid: &Cid| !named.contains(cid) && !self.cancelled.contains_key(cid);
        for task in self.running.values().filter(|task| is_over(&task.cid)) {
            task.abort.abort();
        }
        self.backoff.retain(|cid, _| named.contains(cid));
        self.state.keep_failed(|cid| named.contains(cid));
        self.clean_up(node);
        self.queue = files;
        self.fill(node);
        let now = Instant::now();
        let next = self.backoff.values().map(|backoff| backoff.not_before).filter(|at| *at > now).min();
        next.unwrap_or(now + LONGEST_WAIT).min(now + LONGEST_WAIT)
    }

    /// Begins uploads of the last decision while there are free places.
    pub(super) fn fill(&mut self, node: &Node) {
        let now = Instant::now();
        while self.running.len() < PARALLEL {
            let Some(file) = self.queue.pop_front() else { return };
            let waits = self.backoff.get(&file.cid).is_some_and(|backoff| backoff.not_before > now);
            if waits || self.is_running(&file.cid) || self.cancelled.contains_key(&file.cid) {
                continue;
            }
            if let Some(description) = file.description {
                self.begin(Job { cid: file.cid, description: Some(description) }, node);
            }
        }
    }

    /// Returns whether an upload is under way.
    pub(super) fn is_busy(&self) -> bool {
        !self.running.is_empty()
    }

    /// Begins to remove what given-up uploads left in the destination. These tasks need no place of their own: there are
    /// few of them, and each sends no content.
    fn clean_up(&mut self, node: &Node) {
        let cids: Vec<Cid> = self.cancelled.keys().copied().filter(|cid| !self.is_running(cid)).collect();
        for cid in cids {
            self.begin(Job { cid, description: None }, node);
        }
    }

    fn is_running(&self, cid: &Cid) -> bool {
        self.running.values().any(|task| task.cid == *cid)
    }

    fn begin(&mut self, job: Job, node: &Node) {
        let Some(storage) = self.storage.clone() else { return };
        let (progress, shown) = watch::channel(Progress::default());
        let cancelled = CancellationToken::new();
        if self.cancelled.contains_key(&job.cid) {
            cancelled.cancel();
        }
        if let Some(Description { filename, uploader, size, .. }) = &job.description {
            progress.send_modify(|progress| progress.size = *size);
            let running = Running { name: filename.clone(), uploader: *uploader, progress: shown };
            self.state.note_running(job.cid, running);
        }
        let work = Work {
            context: self.context.clone(),
            node: node.clone(),
            storage,
            state: self.state.clone(),
            part_bytes: self.part_bytes,
            progress,
            cancelled: cancelled.clone(),
        };
        let cid = job.cid;
        let abort = self.tasks.spawn(async move {
            let result = work.run(&job).await;
            Ended { job, result }
        });
        self.running.insert(abort.id(), Task { cid, cancelled, abort });
    }

    /// Waits for the end of a task. The future is cancel-safe.
    pub(super) async fn next_end(&mut self) -> Result<(Id, Ended), JoinError> {
        match self.tasks.join_next_with_id().await {
            Some(ended) => ended,
            None => std::future::pending().await,
        }
    }

    /// Records the result of a task.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub(super) async fn ended(&mut self, ended: Result<(Id, Ended), JoinError>) -> Result<(), ServiceError> {
        match ended {
            Ok((id, Ended { job, result })) => {
                self.running.remove(&id);
                match result {
                    Ok(upload) => self.finish(&job, upload).await,
                    Err(reason) => {
                        self.failed(&job, reason, false);
                        Ok(())
                    }
                }
            }
            // The upload is paused, or its task panicked. It goes on with the state on the disk.
            Err(error) => {
                if let Some(task) = self.running.remove(&error.id()) {
                    self.state.note_ended(task.cid, false, None);
                }
                Ok(())
            }
        }
    }

    /// Records the end of an upload: first its receipt, then the upload is forgotten.
    async fn finish(&mut self, job: &Job, upload: Upload) -> Result<(), ServiceError> {
        let (cid, name) = (job.cid, job.cid.to_string());
        match &upload.stage {
            Stage::Done { checked, unswept } => {
                let place = place(&upload.destination, &upload.object.key);
                tracing::info!(%cid, place, ?checked, "a file is uploaded");
                note_unswept(&cid, unswept.as_deref());
                let (time, bytes) = (self.context.swarm.read(|_, now| now).await?, upload.object.size);
                self.state.add_receipt(cid, Receipt { place, time, bytes }).await?;
                self.context.count(&COMPLETED, 1);
                self.state.note_ended(cid, true, None);
                self.cancelled.remove(&cid);
            }
            Stage::Failed { reason, unswept } => {
                note_unswept(&cid, unswept.as_deref());
                self.failed(job, reason.clone(), true);
            }
            _ => {}
        }
        self.state.uploads.forget(&name, &upload).await.map_err(ServiceError::other)
    }

    /// Notes that an attempt failed. An upload that was given up is not tried again.
    fn failed(&mut self, job: &Job, reason: String, is_over: bool) {
        let cid = job.cid;
        if self.cancelled.remove(&cid).is_some() {
            return self.state.note_ended(cid, true, None);
        }
        self.context.count(&FAILED, 1);
        let failures = self.backoff.get(&cid).map_or(0, |backoff| backoff.failures).saturating_add(1);
        let wait = TRY_AGAIN.0.saturating_mul(2_u32.saturating_pow(failures - 1)).min(TRY_AGAIN.1);
        self.backoff.insert(cid, Backoff { failures, not_before: Instant::now() + wait });
        tracing::warn!(%cid, reason, again_in = ?wait, "a file could not be uploaded");
        let failed = job.description.as_ref().map(|known| FailedUpload {
            name: known.filename.clone(),
            uploader: known.uploader,
            size: known.size,
            reason,
        });
        self.state.note_ended(cid, is_over, failed);
    }
}

fn note_unswept(cid: &Cid, unswept: Option<&str>) {
    if let Some(reason) = unswept {
        tracing::warn!(%cid, reason, "the storage may hold parts of an upload that this robot cannot remove; a lifecycle rule has to remove them");
    }
}

/// The parts that the task of an upload works with.
struct Work {
    context: Context,
    node: Node,
    storage: Arc<Storage>,
    state: State,
    part_bytes: u64,
    progress: watch::Sender<Progress>,
    cancelled: CancellationToken,
}

impl Work {
    /// Runs one upload to its end, from the state on the disk.
    async fn run(&self, job: &Job) -> Result<Upload, String> {
        let name = job.cid.to_string();
        let mut recorded = self.state.read_uploads().await.map_err(|error| error.to_string())?;
        let recorded = recorded.remove(&job.cid).filter(|upload| !upload.is_ended());
        let (content, upload) = match (&job.description, recorded) {
            (None, None) => return Err("it was not begun".to_owned()),
            (None, Some(upload)) => (Content::Gone(upload.object.size), upload),
            (Some(description), recorded) => {
                let content = content::open(&self.node, job.cid, description).await;
                let content = content.map_err(|error| error.to_string())?;
                let upload = match recorded {
                    Some(upload) => upload,
                    None => self.add(job.cid, &content, description).await?,
                };
                (content, upload)
            }
        };
        let engine = Engine {
            name: &name,
            destination: &*self.storage,
            source: &content,
            journal: &self.state.uploads,
            progress: &self.progress,
            cancelled: &self.cancelled,
        };
        Ok(engine.run(upload).await)
    }

    /// Records a new upload.
    async fn add(&self, cid: Cid, content: &Content, description: &Description) -> Result<Upload, String> {
        let robot: PeerId = description.uploader;
        let hostname =
            content::hostname(&self.context.swarm, robot).await.map_err(|error| error.to_string())?;
        let object = content::object(&cid, content, self.part_bytes, (description, hostname));
        let object = object.map_err(|error| error.to_string())?;
        let upload = Upload::new(object, self.storage.name().to_owned());
        self.state.uploads.add(&cid.to_string(), &upload).await.map_err(|error| error.to_string())?;
        Ok(upload)
    }
}
