//! Notices at once when an interface gets or loses an address, where the kernel gives notice.

use futures::StreamExt as _;
use if_watch::tokio::IfWatcher;

/// The kernel's notices of changed addresses.
#[derive(Debug)]
pub(crate) struct Watch(Option<IfWatcher>);

impl Watch {
    /// Begins to listen.
    pub(crate) fn new() -> Self {
        Self(IfWatcher::new().inspect_err(|error| tracing::debug!(%error, "addresses are not watched")).ok())
    }

    /// Returns once some address changed; waits for ever where the kernel gives no notice.
    pub(crate) async fn changed(&mut self) {
        while let Some(watcher) = &mut self.0 {
            match watcher.next().await {
                Some(Ok(_)) => return,
                _ => self.0 = None,
            }
        }
        std::future::pending().await
    }
}
