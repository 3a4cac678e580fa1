//! Jobs: long work that a user requested. A job has a number, progress and a result, and can be cancelled.
//!
//! The request for a job is its *order*. A durable job is written to the disk before its order is acknowledged, and so
//! is its result. The service continues it after a restart. A job in memory ends with the daemon. It is aborted when no
//! client asks for its status for ten seconds.

mod number;
mod report;
mod table;

pub use number::JobNumber;
pub use report::{JobState, JobStatus, Progress, ProgressReporter};

use control::{Failure, FailureKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use store::{Table, TableError};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout};

/// Time after which a job in memory is aborted when no client asks for it.
const UNATTENDED: Duration = Duration::from_secs(10);
/// Maximum time that [`Jobs::wait`] waits for the end of a job.
const MOMENT: Duration = Duration::from_millis(300);

/// A kind of jobs: the types of its orders and results, and the limits on its jobs.
pub trait JobKind: Send + Sync + 'static {
    /// The order of a user.
    type Order: Clone + Serialize + DeserializeOwned + Send + Sync;
    /// The result of a job that succeeded.
    type Outcome: Clone + Serialize + DeserializeOwned + Send + Sync;
    /// State of a job that is in memory only.
    type Local: Default + Send;
    /// Maximum number of open jobs. Each may occupy a task, a connection or a file.
    const MAX_OPEN: usize = 8;
    /// Maximum number of ended jobs that are remembered.
    const MAX_ENDED: usize = 16;
}

/// A job and its state.
pub struct Job<K: JobKind> {
    /// The order of the user.
    pub order: K::Order,
    /// Result of the job; `None` while it is open.
    pub end: Option<JobEnd<K::Outcome>>,
    /// State of the job that is in memory only.
    pub local: K::Local,
    progress: watch::Sender<Progress>,
    attended: Option<Instant>,
}

/// Result of an ended job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobEnd<R> {
    /// The job succeeded, with this result.
    Done(R),
    /// The job failed permanently, with the reason as a sentence.
    Failed(String),
}

/// Reason why a request about jobs failed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Too many jobs are open.
    #[error("{0} jobs of this kind are open already; try again later, or cancel one")]
    TooMany(usize),
    /// There is no job with this number.
    #[error("there is no job {0}; it ended long ago, or was cancelled or aborted")]
    Unknown(JobNumber),
    /// The disk cannot be written.
    #[error(transparent)]
    Table(#[from] TableError),
}

impl From<JobError> for Failure {
    fn from(error: JobError) -> Self {
        let kind = match &error {
            JobError::TooMany(_) => FailureKind::Refused,
            JobError::Unknown(_) => FailureKind::Wrong,
            JobError::Table(_) => FailureKind::Disk,
        };
        Self::new(kind, error)
    }
}

/// Row of a job on the disk.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound(deserialize = "O: DeserializeOwned, R: DeserializeOwned"))]
pub struct JobRow<O, R> {
    order: O,
    #[serde(default)]
    end: Option<JobEnd<R>>,
}

type RowOf<K> = JobRow<<K as JobKind>::Order, <K as JobKind>::Outcome>;
type Changes<K> = Vec<(JobNumber, Option<RowOf<K>>)>;

/// The jobs of one kind. A clone refers to the same jobs.
pub struct Jobs<K: JobKind>(Arc<Inner<K>>);

struct Inner<K: JobKind> {
    table: Option<Table<JobNumber, RowOf<K>>>,
    items: Mutex<BTreeMap<JobNumber, Job<K>>>,
    /// Held during a change, so that changes are made one at a time: first on the disk, then in memory.
    writing: tokio::sync::Mutex<()>,
    changed: Notify,
    version: watch::Sender<u64>,
}

impl<K: JobKind> Clone for Jobs<K> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<K: JobKind> Job<K> {
    fn new(order: K::Order, end: Option<JobEnd<K::Outcome>>) -> Self {
        Self { order, end, local: K::Local::default(), progress: watch::Sender::default(), attended: None }
    }

    /// Returns whether the job has not ended.
    pub fn is_open(&self) -> bool {
        self.end.is_none()
    }

    fn row(&self) -> RowOf<K> {
        JobRow { order: self.order.clone(), end: self.end.clone() }
    }
}

impl<K: JobKind> Jobs<K> {
    /// Creates an empty list of jobs in memory.
    pub fn in_memory() -> Self {
        Self::new(None, BTreeMap::new())
    }

    /// Orders a job and returns its number. A durable job is on the disk when this returns. If there is an open job
    /// whose order `is_same`, returns its number instead of ordering a second one.
    ///
    /// # Errors
    /// When too many jobs are open, or the disk cannot be written.
    pub async fn order(
        &self,
        order: K::Order,
        is_same: impl Fn(&K::Order) -> bool,
    ) -> Result<JobNumber, JobError> {
        let _writing = self.0.writing.lock().await;
        let number = {
            let items = self.items();
            let open = || items.iter().filter(|(_, job)| job.is_open());
            if let Some((number, _)) = open().find(|(_, job)| is_same(&job.order)) {
                return Ok(*number);
            }
            if open().count() >= K::MAX_OPEN {
                return Err(JobError::TooMany(K::MAX_OPEN));
            }
            items.keys().last().map_or(JobNumber(1), |last| last.next())
        };
        let job = Job::new(order, None);
        self.write(vec![(number, Some(job.row()))]).await?;
        self.items().insert(number, job);
        self.notify();
        Ok(number)
    }

    /// Runs `work` as a job in memory and returns its number. The job is aborted when no client asks for its status for
    /// ten seconds.
    ///
    /// # Errors
    /// When too many jobs are open.
    pub async fn run<F>(
        &self,
        order: K::Order,
        work: impl FnOnce(ProgressReporter) -> F,
    ) -> Result<JobNumber, JobError>
    where
        F: Future<Output = Result<K::Outcome, String>> + Send + 'static,
    {
        let number = self.order(order, |_| false).await?;
        let reporter = self.reporter(number).ok_or(JobError::Unknown(number))?;
        self.change(number, |job| job.attended = Some(Instant::now()));
        let (jobs, work) = (self.clone(), work(reporter));
        tokio::spawn(async move {
            tokio::select! {
                ended = work => {
                    let end = ended.map_or_else(JobEnd::Failed, JobEnd::Done);
                    // Changes in memory cannot fail.
                    let _ = jobs.end(number, end).await;
                    jobs.until_unattended(number).await;
                }
                () = jobs.until_unattended(number) => {}
            }
            jobs.items().remove(&number);
            jobs.notify();
        });
        Ok(number)
    }

    async fn until_unattended(&self, number: JobNumber) {
        while let Some(limit) = self.attended_until(number) {
            if limit <= Instant::now() {
                return;
            }
            let cancelled = self.until(|items| !items.contains_key(&number));
            let _ = tokio::time::timeout_at(limit, cancelled).await;
        }
    }

    fn attended_until(&self, number: JobNumber) -> Option<Instant> {
        self.items().get(&number)?.attended.map(|attended| attended + UNATTENDED)
    }

    /// Waits for the end of a job, for at most 300 ms, and returns its status. This counts as asking for the job.
    ///
    /// # Errors
    /// When there is no such job.
    pub async fn wait(&self, number: JobNumber) -> Result<JobStatus<K::Outcome>, JobError> {
        self.change(number, |job| job.attended = job.attended.map(|_| Instant::now()));
        let has_ended = |items: &BTreeMap<_, Job<K>>| items.get(&number).is_none_or(|job| !job.is_open());
        // The status tells whether the job ended or the wait timed out.
        let _ = timeout(MOMENT, self.until(has_ended)).await;
        self.status(number)
    }

    /// Returns the status of a job.
    ///
    /// # Errors
    /// When there is no such job.
    pub fn status(&self, number: JobNumber) -> Result<JobStatus<K::Outcome>, JobError> {
        let items = self.items();
        let job = items.get(&number).ok_or(JobError::Unknown(number))?;
        let state = match &job.end {
            None => JobState::Running,
            Some(JobEnd::Done(outcome)) => JobState::Done(outcome.clone()),
            Some(JobEnd::Failed(reason)) => JobState::Failed(reason.clone()),
        };
        Ok(JobStatus { job: number, progress: *job.progress.borrow(), state })
    }

    /// Returns a reporter for the progress of a job; `None` when there is no such job.
    pub fn reporter(&self, number: JobNumber) -> Option<ProgressReporter> {
        self.items().get(&number).map(|job| ProgressReporter(job.progress.clone()))
    }

    /// Ends a job, and removes the oldest ended jobs beyond [`JobKind::MAX_ENDED`]. It is not an error if the job was
    /// cancelled meanwhile.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub async fn end(&self, number: JobNumber, end: JobEnd<K::Outcome>) -> Result<(), JobError> {
        let _writing = self.0.writing.lock().await;
        let (row, old) = {
            let items = self.items();
            let Some(job) = items.get(&number) else { return Ok(()) };
            (JobRow { order: job.order.clone(), end: Some(end.clone()) }, oldest_ended(&items))
        };
        let mut changes = vec![(number, Some(row))];
        changes.extend(old.iter().map(|old| (*old, None)));
        self.write(changes).await?;
        let mut items = self.items();
        for old in &old {
            items.remove(old);
        }
        if let Some(job) = items.get_mut(&number) {
            (job.end, job.local) = (Some(end), K::Local::default());
        }
        drop(items);
        self.notify();
        Ok(())
    }

    /// Cancels the jobs for which `is_meant` returns true, removes them from the list, and returns them.
    ///
    /// # Errors
    /// When the disk cannot be written.
    pub async fn cancel(
        &self,
        is_meant: impl Fn(JobNumber, &Job<K>) -> bool,
    ) -> Result<Vec<(JobNumber, Job<K>)>, JobError> {
        let _writing = self.0.writing.lock().await;
        let found: Vec<JobNumber> = {
            let items = self.items();
            items.iter().filter(|(number, job)| is_meant(**number, job)).map(|(number, _)| *number).collect()
        };
        if found.is_empty() {
            return Ok(Vec::new());
        }
        self.write(found.iter().map(|number| (*number, None)).collect()).await?;
        let mut items = self.items();
        let cancelled =
            found.into_iter().filter_map(|number| Some((number, items.remove(&number)?))).collect();
        drop(items);
        self.notify();
        Ok(cancelled)
    }

    /// Changes the state of a job in memory, and returns the result of `change`; `None` when there is no such job.
    pub fn change<T>(&self, number: JobNumber, change: impl FnOnce(&mut Job<K>) -> T) -> Option<T> {
        self.items().get_mut(&number).map(change)
    }

    /// Returns access to all jobs, in the order of their numbers.
    pub fn items(&self) -> MutexGuard<'_, BTreeMap<JobNumber, Job<K>>> {
        // Each change is a single call that leaves the map consistent, so a poisoned lock is safe to use.
        self.0.items.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a job was ordered, ended or cancelled since the last call. Only the task that runs the jobs may call
    /// it.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    fn notify(&self) {
        self.0.changed.notify_one();
        self.0.version.send_modify(|version| *version += 1);
    }

    async fn until(&self, condition: impl Fn(&BTreeMap<JobNumber, Job<K>>) -> bool) {
        let mut version = self.0.version.subscribe();
        // The wait cannot fail, because the sender exists as long as this list.
        let _ = version.wait_for(|_| condition(&self.items())).await;
    }
}

/// Returns the ended jobs to forget when one more job ends.
fn oldest_ended<K: JobKind>(items: &BTreeMap<JobNumber, Job<K>>) -> Vec<JobNumber> {
    let ended: Vec<JobNumber> =
        items.iter().filter(|(_, job)| !job.is_open()).map(|(number, _)| *number).collect();
    let excess = (ended.len() + 1).saturating_sub(K::MAX_ENDED);
    ended.into_iter().take(excess).collect()
}

#[cfg(test)]
mod tests;
