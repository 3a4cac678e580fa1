//! Supervision of tasks: when a task ends, that is logged, and the task is restarted with backoff. Other tasks are not
//! affected.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Minimum and maximum backoff before a task is restarted.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Minimum run time after which the backoff is reset to its minimum.
const STABLE: Duration = Duration::from_secs(120);

/// Runs the task that `make` returns, and restarts it whenever it ends, until `stop` is cancelled. A task that must
/// write data at the end watches `stop` itself. Other tasks are aborted when the future of this function is dropped.
pub async fn supervise<F, E>(name: &'static str, stop: CancellationToken, mut make: impl FnMut() -> F)
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Display + Send + 'static,
{
    let mut wait = WAIT.0;
    loop {
        let begun = Instant::now();
        // The spawned task catches panics.
        let ended = AbortOnDropHandle::new(tokio::spawn(make())).await;
        if stop.is_cancelled() {
            return;
        }
        if begun.elapsed() >= STABLE {
            wait = WAIT.0;
        }
        match ended {
            Ok(Ok(())) => tracing::error!(task = name, again_in = ?wait, "a task ended unexpectedly"),
            Ok(Err(error)) => tracing::error!(task = name, %error, again_in = ?wait, "a task failed"),
            Err(panic) => tracing::error!(task = name, %panic, again_in = ?wait, "a task panicked"),
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(WAIT.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_task_that_ends_is_restarted_with_backoff() {
        let (stop, runs) = (CancellationToken::new(), Arc::new(AtomicU32::new(0)));
        let (stopped, counted) = (stop.clone(), runs.clone());
        let supervised = tokio::spawn(supervise("test", stop.clone(), move || {
            let (stop, run) = (stopped.clone(), counted.fetch_add(1, Ordering::SeqCst));
            async move {
                match run {
                    0 => panic!("the first run"),
                    1 => Err("the second run"),
                    2 => Ok(()),
                    _ => {
                        stop.cancelled().await;
                        Ok(())
                    }
                }
            }
        }));
        let begun = Instant::now();
        while runs.load(Ordering::SeqCst) < 4 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(begun.elapsed() >= Duration::from_secs(1 + 2 + 4));
        stop.cancel();
        supervised.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_supervisor_ends_its_task() {
        let held = Arc::new(());
        let weak = Arc::downgrade(&held);
        let mut held = Some(held);
        let supervised = supervise("test", CancellationToken::new(), move || {
            let held = held.take();
            async move {
                let _held = held;
                std::future::pending::<Result<(), &str>>().await
            }
        });
        let _ = tokio::time::timeout(Duration::from_secs(1), supervised).await;
        while weak.upgrade().is_some() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
