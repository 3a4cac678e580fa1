//! Keeps space on the disk free for the recordings of this robot.

use super::ReplicatorError;
use crate::replicate::Pressure;
use crate::space::{Floor, Space};
use ipfs::node::Node;
use ipfs::store::{Store, StoreError};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Time until the free space is read again after the file system did not report it.
const AGAIN: Duration = Duration::from_secs(60);

/// The free space that this robot keeps, and the copies that it should let go of for it.
#[derive(Clone, Debug)]
pub(super) struct FreeSpace {
    floor: Floor,
    pressure: watch::Sender<Pressure>,
    /// Wakes the task that checks the free space.
    changed: Arc<Notify>,
}

impl FreeSpace {
    /// Creates the floor for the disk of the store. `configured` is the floor in MiB that a user set, if any.
    pub(super) fn new(node: &Node, configured: Option<u64>) -> Self {
        // A file system that does not report its size has no default floor.
        let floor = Floor::new(configured, node.store().disk_bytes().unwrap_or_default());
        Self { floor, pressure: watch::Sender::default(), changed: Arc::default() }
    }

    /// Returns a receiver of the copies to let go of.
    pub(super) fn pressure(&self) -> watch::Receiver<Pressure> {
        self.pressure.subscribe()
    }

    /// Returns the room for files of other robots.
    pub(super) fn room(&self, store: &Store) -> Result<u64, StoreError> {
        let room = store.room_bytes()?;
        Ok(self.floor.room(read(store)?).min(room))
    }

    /// Notes that a copy of this size was unpinned. The task then removes its blocks.
    pub(super) fn note_released(&self, bytes: u64) {
        self.pressure.send_modify(|pressure| pressure.bytes = pressure.bytes.saturating_sub(bytes));
        self.changed.notify_one();
    }
}

fn read(store: &Store) -> Result<Space, StoreError> {
    Ok(Space { free: store.free_bytes()?, unheld: store.unheld_bytes() })
}

/// Checks the free space, the more often the less there is. Removes unpinned blocks, and tells how many bytes of copies
/// have to go.
pub(super) async fn watch_space(node: Node, space: FreeSpace) -> Result<Infallible, ReplicatorError> {
    loop {
        let store = node.store().clone();
        let wait = match read(&store) {
            Ok(read) => {
                let removal = space.floor.removal(read);
                if removal.unheld > 0 {
                    let removed =
                        tokio::task::spawn_blocking(move || store.remove_unheld(removal.unheld)).await;
                    if let Ok(Err(error)) = removed {
                        tracing::warn!(%error, "unpinned blocks cannot be removed, although the disk has little space");
                    }
                }
                tell(&space.pressure, removal.pressure);
                space.floor.next_check(read)
            }
            Err(error) => {
                tracing::warn!(%error, "the free space of the disk is unknown");
                AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = space.changed.notified() => {}
        }
    }
}

fn tell(channel: &watch::Sender<Pressure>, pressure: Pressure) {
    channel.send_if_modified(|before| {
        if before.bytes == 0 && pressure.bytes > 0 {
            tracing::warn!(
                bytes = pressure.bytes,
                "the disk has less free space than `free_floor_mib`; copies for other robots go, the oldest first"
            );
        }
        let is_new = *before != pressure;
        *before = pressure;
        is_new
    });
}
