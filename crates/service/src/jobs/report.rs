//! How far a job is.

use super::JobNumber;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Bytes or steps that are done.
    pub done: u64,
    /// Bytes or steps in total, if known.
    pub total: Option<u64>,
}

/// Status of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobStatus<R> {
    /// Number of the job.
    pub job: JobNumber,
    /// How far the job is.
    pub progress: Progress,
    /// Whether the job ended, and how.
    pub state: JobState<R>,
}

/// Whether a job ended, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState<R> {
    /// It has not ended.
    Running,
    /// It succeeded.
    Done(R),
    /// It failed; the reason as a sentence.
    Failed(String),
}

/// Reports the progress of a job. A clone reports for the same job.
#[derive(Clone)]
pub struct ProgressReporter(pub(super) watch::Sender<Progress>);

impl ProgressReporter {
    /// Reports how much is done, and of how much if that is known.
    pub fn report(&self, done: u64, total: Option<u64>) {
        self.0.send_replace(Progress { done, total });
    }
}
