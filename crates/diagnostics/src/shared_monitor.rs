//! A monitor that tasks share. Its functions run on the thread pool for blocking work.

use crate::monitor::Monitor;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::{JoinError, spawn_blocking};

/// A monitor that tasks share. Clones refer to the same one.
#[derive(Clone, Debug)]
pub(crate) struct SharedMonitor(Arc<Mutex<Monitor>>);

/// Error of a function of the monitor that panicked, or that was not run because the daemon is stopping.
#[derive(Debug, thiserror::Error)]
#[error("measuring this robot failed: {0}")]
pub(crate) struct MonitorFailed(#[from] JoinError);

impl SharedMonitor {
    pub(crate) fn new(monitor: Monitor) -> Self {
        Self(Arc::new(Mutex::new(monitor)))
    }

    /// Runs a function that may block.
    ///
    /// # Errors
    /// Returns an error if the function panics, or if the daemon is stopping.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        function: impl FnOnce(&mut Monitor) -> T + Send + 'static,
    ) -> Result<T, MonitorFailed> {
        let monitor = self.0.clone();
        // A function that panicked left at most a sample out, so a poisoned lock is safe to use.
        let run = move || function(&mut monitor.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(spawn_blocking(run).await?)
    }
}
