//! The limits that hold: those of the configuration, and those that were set since, which outlive a restart.

use crate::BookError;
use control::{Limit, Limits};
use std::sync::Arc;
use store::Store;
use tokio::sync::{Mutex, watch};

/// The name in the store's table of services.
const LIMITS: &str = "transfers/limits";
const KEY: &str = "set";

/// What holds, and what was set. A clone is the same.
#[derive(Clone)]
pub struct Rates(Arc<Inner>);

struct Inner {
    store: Arc<Store>,
    configured: Limits,
    set: Mutex<Limits>,
    told: watch::Sender<ipfs::node::Rates>,
}

impl Rates {
    /// Reads what was set before. It may block.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn open(store: Arc<Store>, configured: Limits) -> Result<Self, BookError> {
        let row = store.service_get(LIMITS, KEY)?;
        let set: Limits = row.and_then(|row| serde_json::from_slice(&row).ok()).unwrap_or_default();
        let told = watch::Sender::new(for_node(set.or(configured)));
        Ok(Self(Arc::new(Inner { store, configured, set: Mutex::new(set), told })))
    }

    /// What holds now, and what was set.
    pub async fn show(&self) -> (Limits, Limits) {
        let set = *self.0.set.lock().await;
        (self.now(set), set)
    }

    /// From now on this holds: it is on the disk when this returns.
    ///
    /// # Errors
    /// When the store cannot be written. Then all is as before.
    pub async fn set(&self, limits: Limits) -> Result<(), BookError> {
        let mut set = self.0.set.lock().await;
        let (store, row) = (self.0.store.clone(), serde_json::to_vec(&limits).unwrap_or_default());
        let written = tokio::task::spawn_blocking(move || store.service_put(LIMITS, KEY, &row)).await;
        written.map_err(|_| BookError::Worker)??;
        *set = limits;
        self.0.told.send_replace(for_node(limits.or(self.0.configured)));
        Ok(())
    }

    /// What the node is to keep to, as it changes.
    pub fn told(&self) -> watch::Receiver<ipfs::node::Rates> {
        self.0.told.subscribe()
    }

    fn now(&self, set: Limits) -> Limits {
        let none = Limit::None;
        set.or(self.0.configured).or(Limits { lan_up: none, lan_down: none, wan_up: none, wan_down: none })
    }
}

fn for_node(limits: Limits) -> ipfs::node::Rates {
    let rate = |limit| match limit {
        Limit::Rate(rate) => Some(rate),
        Limit::None | Limit::Default => None,
    };
    ipfs::node::Rates {
        lan_up: rate(limits.lan_up),
        lan_down: rate(limits.lan_down),
        wan_up: rate(limits.wan_up),
        wan_down: rate(limits.wan_down),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_set_holds_after_a_restart_until_the_default_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let (store, _) = Store::open(&folder.path().join("records.redb")).unwrap();
            let configured = Limits { wan_up: Limit::Rate(50_000), ..Limits::default() };
            Rates::open(Arc::new(store), configured).unwrap()
        };
        let rates = open();
        assert_eq!(rates.told().borrow().wan_up, Some(50_000));
        let set = Limits { wan_up: Limit::None, lan_down: Limit::Rate(70_000), ..Limits::default() };
        rates.set(set).await.unwrap();
        assert_eq!(*rates.told().borrow(), for_node(set));
        drop(rates);
        let rates = open();
        let (now, shown) = rates.show().await;
        assert_eq!((now.wan_up, now.lan_down, now.lan_up), (Limit::None, Limit::Rate(70_000), Limit::None));
        assert_eq!(shown, set);
        rates.set(Limits::default()).await.unwrap();
        assert_eq!(rates.told().borrow().wan_up, Some(50_000));
    }
}
