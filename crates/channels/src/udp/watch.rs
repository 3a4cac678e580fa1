//! Notices at once when the kernel gives an interface an address or takes one away, where it tells.

use futures::StreamExt as _;
use if_watch::tokio::IfWatcher;

/// What the kernel tells of addresses.
#[derive(Debug)]
pub(crate) struct Watch(Option<IfWatcher>);

impl Watch {
    /// Begins to listen.
    pub(crate) fn new() -> Self {
        Self(IfWatcher::new().inspect_err(|error| tracing::debug!(%error, "addresses are not watched")).ok())
    }

    /// Some address changed; waits forever when the kernel does not tell.
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
