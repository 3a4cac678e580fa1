//! Follows changes of the name of this host.

use service::LocalFacts;
use std::convert::Infallible;
use std::fs::File;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

/// File whose changes the kernel reports as an event, so that no polling is needed.
const EVENTS: &str = "/proc/sys/kernel/hostname";
/// Time between two reads of the name on a system that does not report changes.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

/// Returns the present name of this host.
pub(crate) fn current() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Updates the facts whenever the host is renamed.
pub(crate) async fn watch_hostname(facts: watch::Sender<LocalFacts>) -> Result<(), Infallible> {
    // Opened before the name is read, so that no change is missed.
    let events = events();
    if let Err(error) = &events {
        tracing::debug!(%error, "this system does not report changes of the host name; it is read every 30 s");
    }
    loop {
        note(&facts, current());
        changed(events.as_ref().ok()).await;
    }
}

#[expect(
    deprecated,
    reason = "the function that replaces it is unsafe; a `File` keeps its descriptor open as long as it exists"
)]
fn events() -> std::io::Result<AsyncFd<File>> {
    AsyncFd::with_interest(File::open(EVENTS)?, Interest::PRIORITY)
}

fn note(facts: &watch::Sender<LocalFacts>, hostname: String) {
    facts.send_if_modified(|facts| {
        let is_new = facts.hostname != hostname;
        if is_new {
            tracing::info!(hostname, "this host has a new name");
            facts.hostname = hostname;
        }
        is_new
    });
}

async fn changed(events: Option<&AsyncFd<File>>) {
    let Some(events) = events else { return tokio::time::sleep(LOOK_AGAIN).await };
    match events.ready(Interest::PRIORITY).await {
        Ok(mut event) => event.clear_ready(),
        Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
    }
}

/// Waits until the name of the host differs from `hostname`. Never returns if the sender of the facts is dropped, which
/// happens only when the daemon stops.
pub(crate) async fn renamed(facts: &mut watch::Receiver<LocalFacts>, hostname: &str) {
    let is_stopping = facts.wait_for(|facts| facts.hostname != hostname).await.is_err();
    if is_stopping {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Maximum number of events that may come from other tests. The kernel also reports changes of the host name in
    /// other UTS namespaces, and tests that run at the same time change host names there.
    const CHANGES_BY_OTHERS: usize = 20;

    #[tokio::test]
    async fn waiting_for_a_new_name_does_not_wake_again_and_again() {
        let events = events();
        let mut wakes = 0;
        let count = async {
            loop {
                changed(events.as_ref().ok()).await;
                wakes += 1;
                tokio::task::yield_now().await;
            }
        };
        let _: Result<(), _> = tokio::time::timeout(Duration::from_millis(100), count).await;
        assert!(wakes <= CHANGES_BY_OTHERS, "woke {wakes} times in 100 ms");
    }

    #[tokio::test]
    async fn a_new_name_updates_the_facts_once() {
        let facts = watch::Sender::new(LocalFacts { hostname: "old".to_owned(), ..LocalFacts::default() });
        let mut told = facts.subscribe();
        note(&facts, "old".to_owned());
        assert!(!told.has_changed().unwrap());
        note(&facts, "new".to_owned());
        tokio::time::timeout(Duration::from_secs(5), renamed(&mut told, "old")).await.unwrap();
        assert_eq!(told.borrow_and_update().hostname, "new");
        note(&facts, "new".to_owned());
        assert!(!told.has_changed().unwrap());
    }
}
