//! The catalogues that this node has read, shared by the tasks of the service and with other services.

use super::known::Catalogs;
use std::sync::Arc;
use tokio::sync::{Mutex, watch};

/// A handle of the catalogues that this node has read, with its own one. The service `logs` updates them; other services
/// read them. A clone refers to the same ones; see [`service::SharedValues`].
#[derive(Clone, Debug, Default)]
pub struct SharedCatalogs {
    current: watch::Sender<Arc<Catalogs>>,
    updating: Arc<Mutex<()>>,
}

impl SharedCatalogs {
    /// Returns the catalogues.
    pub fn current(&self) -> Arc<Catalogs> {
        self.current.borrow().clone()
    }

    /// Returns a receiver of the catalogues.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Catalogs>> {
        self.current.subscribe()
    }

    /// Changes the catalogues. The change runs on a thread that may block, since its cost is proportional to the number of
    /// lines.
    ///
    /// # Errors
    /// Those of `change`. Then the catalogues stay as they are.
    pub(crate) async fn update<E: Send + 'static>(
        &self,
        change: impl FnOnce(&Catalogs) -> Result<Catalogs, E> + Send + 'static,
    ) -> Result<(), E> {
        let _one_at_a_time = self.updating.lock().await;
        let before = self.current();
        let changed = tokio::task::spawn_blocking(move || change(&before)).await;
        let changed = changed.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        self.current.send_replace(Arc::new(changed));
        Ok(())
    }
}
