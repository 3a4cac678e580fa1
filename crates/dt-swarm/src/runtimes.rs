//! The threads of the daemon.

use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// Time after which an idle thread of the pool for blocking disk work ends.
const KEPT_ALIVE: Duration = Duration::from_secs(2);

/// The threads of the daemon. Idle threads for disk work end soon, because each one holds memory.
pub(crate) struct Runtimes {
    /// Runs the brain and its channels, on the main thread. The system lets a thread run soon if it usually sleeps, so
    /// a robot answers soon while its other threads encrypt, compute hashes and decide.
    messages: Runtime,
    /// Runs everything else. With two threads, other tasks continue while one thread computes hashes.
    work: Runtime,
}

impl Runtimes {
    pub(crate) fn new() -> std::io::Result<Self> {
        let messages = Builder::new_current_thread().thread_keep_alive(KEPT_ALIVE).enable_all().build()?;
        let work = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_keep_alive(KEPT_ALIVE)
            .enable_all()
            .build()?;
        Ok(Self { messages, work })
    }

    /// Returns the handle of the runtime for the brain and its channels.
    pub(crate) fn messages(&self) -> Handle {
        self.messages.handle().clone()
    }

    /// Runs the main task of the daemon, and all tasks, until the main task ends.
    pub(crate) fn run<T: Send + 'static>(self, main: impl Future<Output = T> + Send + 'static) -> T {
        let ended = self.messages.block_on(self.work.spawn(main));
        // A blocked thread must not keep the process running.
        self.work.shutdown_timeout(Duration::from_millis(200));
        self.messages.shutdown_timeout(Duration::from_millis(200));
        // The task is never aborted, so an error is a panic.
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{self, RecvTimeoutError};

    #[test]
    fn messages_are_handled_while_all_other_threads_compute() {
        let runtimes = Runtimes::new().unwrap();
        let (messages, (answer, answered)) = (runtimes.messages(), mpsc::channel());
        let answered = runtimes.run(async move {
            let (end, ended) = mpsc::channel::<()>();
            // This blocks one thread until `end` is dropped, and the main task blocks the other one.
            let computing = tokio::spawn(async move { ended.recv() });
            messages.spawn(async move { answer.send(()) });
            let answered = answered.recv_timeout(Duration::from_secs(10));
            drop(end);
            let _ = computing.await;
            answered
        });
        assert_ne!(answered, Err(RecvTimeoutError::Timeout));
    }
}
