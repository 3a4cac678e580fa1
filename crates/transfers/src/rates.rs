//! The current rate limits. Limits that a user set override those in the configuration, and are kept across restarts.

use crate::{Limit, Limits};
use std::sync::Arc;
use store::{Table, TableError};
use tokio::sync::{Mutex, watch};

/// Key of the table's one row.
const KEY: &str = "set";

/// The rate limits. A clone refers to the same limits.
#[derive(Clone)]
pub struct Rates(Arc<Inner>);

struct Inner {
    table: Table<String, Limits>,
    configured: Limits,
    set: Mutex<Limits>,
    current: watch::Sender<ipfs::node::Rates>,
}

impl Rates {
    /// Reads the limits that a user set earlier from the disk. This call blocks.
    ///
    /// # Errors
    /// When the disk cannot be read.
    pub fn open(table: Table<String, Limits>, configured: Limits) -> Result<Self, TableError> {
        let set = table.read(&KEY.to_owned())?.unwrap_or_default();
        let current = watch::Sender::new(for_node(set.or(configured)));
        Ok(Self(Arc::new(Inner { table, configured, set: Mutex::new(set), current })))
    }

    /// Returns the limits that apply now, and those that a user set.
    pub async fn show(&self) -> (Limits, Limits) {
        let set = *self.0.set.lock().await;
        (self.now(set), set)
    }

    /// Sets limits. They are on the disk when this returns.
    ///
    /// # Errors
    /// When the disk cannot be written. In this case the limits do not change.
    pub async fn set(&self, limits: Limits) -> Result<(), TableError> {
        let mut set = self.0.set.lock().await;
        self.0.table.write_async(&[(KEY.to_owned(), Some(limits))]).await?;
        *set = limits;
        self.0.current.send_replace(for_node(limits.or(self.0.configured)));
        Ok(())
    }

    /// Returns a receiver of the limits for the node.
    pub fn current(&self) -> watch::Receiver<ipfs::node::Rates> {
        self.0.current.subscribe()
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
    use store::Store;

    #[tokio::test]
    async fn a_limit_that_was_set_survives_restarts_until_the_default_is_set() {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let (store, _) = Store::open(&folder.path().join("records.redb")).unwrap();
            let configured = Limits { wan_up: Limit::Rate(50_000), ..Limits::default() };
            Rates::open(Arc::new(store).table("transfers/limits"), configured).unwrap()
        };
        let rates = open();
        assert_eq!(rates.current().borrow().wan_up, Some(50_000));
        let set = Limits { wan_up: Limit::None, lan_down: Limit::Rate(70_000), ..Limits::default() };
        rates.set(set).await.unwrap();
        assert_eq!(*rates.current().borrow(), for_node(set));
        drop(rates);
        let rates = open();
        let (now, shown) = rates.show().await;
        assert_eq!((now.wan_up, now.lan_down, now.lan_up), (Limit::None, Limit::Rate(70_000), Limit::None));
        assert_eq!(shown, set);
        rates.set(Limits::default()).await.unwrap();
        assert_eq!(rates.current().borrow().wan_up, Some(50_000));
    }
}
