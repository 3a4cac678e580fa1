//! The status and progress of a job.

use super::JobNumber;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Progress of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Number of bytes or steps that are done.
    pub done: u64,
    /// Total number of bytes or steps, if known.
    pub total: Option<u64>,
}

/// Status of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobStatus<R> {
    /// Number of the job.
    pub job: JobNumber,
    /// Progress of the job.
    pub progress: Progress,
    /// State of the job, with its result.
    pub state: JobState<R>,
}

/// State of a job, with its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState<R> {
    /// The job has not ended.
    Running,
    /// The job succeeded, with this result.
    Done(R),
    /// The job failed, with the reason as a sentence.
    Failed(String),
}

/// Reports the progress of a job. A clone reports for the same job.
#[derive(Clone)]
pub struct ProgressReporter(pub(super) watch::Sender<Progress>);

impl ProgressReporter {
    /// Reports the bytes or steps that are done, and their total number if known.
    pub fn report(&self, done: u64, total: Option<u64>) {
        self.0.send_replace(Progress { done, total });
    }
}
