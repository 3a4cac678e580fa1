//! The threads of the daemon.

use rustix::process::{getpriority_process, setpriority_process};
use std::time::Duration;
use tokio::runtime::{Builder, Handle, Runtime};

/// Time after which an idle thread of the pool for blocking disk work ends.
const KEPT_ALIVE: Duration = Duration::from_secs(2);
/// Number by which the nice value of all threads but the main thread is higher. Their share of a busy core is then a
/// third of a usual thread's share, so they delay neither messages nor the robot's other programs for long.
const NICER: i32 = 5;
/// The highest nice value, which is the lowest priority.
const MOST_NICE: i32 = 19;

/// The threads of the daemon. Idle threads for disk work end soon, because each one holds memory.
pub(crate) struct Runtimes {
    /// Runs the brain and its channels, on the main thread. The system lets a thread run soon if it usually sleeps, so
    /// a robot answers soon while its other threads encrypt, compute hashes and decide.
    messages: Runtime,
    /// Runs everything else, with a lower priority. With two threads, other tasks continue while one thread computes
    /// hashes.
    work: Runtime,
}

impl Runtimes {
    pub(crate) fn new() -> std::io::Result<Self> {
        let messages = Builder::new_current_thread().thread_keep_alive(KEPT_ALIVE).enable_all().build()?;
        let nice = (getpriority_process(None)? + NICER).min(MOST_NICE);
        let work = Builder::new_multi_thread()
            .worker_threads(2)
            // On Linux, a nice value belongs to a thread. If the system refuses it, the thread only competes with others.
            .on_thread_start(move || {
                let _ = setpriority_process(None, nice);
            })
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
    fn all_threads_but_the_main_thread_have_a_lower_priority() {
        let runtimes = Runtimes::new().unwrap();
        let messages = runtimes.messages();
        let nice = || getpriority_process(None).unwrap();
        let here = nice();
        let found = runtimes.run(async move {
            let on_disk = tokio::task::spawn_blocking(nice);
            (messages.spawn(async move { nice() }).await.unwrap(), nice(), on_disk.await.unwrap())
        });
        let lower = (here + NICER).min(MOST_NICE);
        assert_eq!(found, (here, lower, lower));
    }

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
