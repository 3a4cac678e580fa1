//! The reasons why a fetch makes no progress, with their messages.
use std::fmt;

use crate::store::StoreError;

/// Reason why a fetch makes no progress at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// The limit of parallel fetches is reached.
    #[error("waiting for other fetches")]
    Queued,
    /// No peer is connected.
    #[error("no peer is connected")]
    Alone,
    /// This number of peers is connected, and none of them has the content or sends it.
    #[error("none of the {0} connected peers sends the content")]
    Silent(usize),
    /// This host has no room for the content.
    #[error(transparent)]
    NoRoom(Shortage),
}

/// The resource that is too scarce to store the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// The store has reached its size limit.
    #[error(
        "the block store of this host is full: {} of the {} that it may use are pinned or in use; unpin something, or raise \
         `store_max_mib`",
        Size(*used),
        Size(*max)
    )]
    Store {
        /// Bytes that are pinned or in use.
        used: u64,
        /// Size limit of the store in bytes.
        max: u64,
    },
    /// The disk or the user's quota is used up.
    #[error("the disk of this host is full, or the quota of this user is used up; delete some files")]
    Space,
    /// The free space that must remain on the file system is reached.
    #[error(
        "the disk of this host is full: {} are free, and {} must stay free (`disk_free_mib`); delete some files",
        Size(*free),
        Size(*kept)
    )]
    Disk {
        /// Bytes that are free.
        free: u64,
        /// Bytes that must stay free.
        kept: u64,
    },
}

impl Shortage {
    /// Returns the shortage that made the store fail, or `None` for any other error.
    pub(super) fn of(error: &StoreError) -> Option<Self> {
        match *error {
            StoreError::Full { used, max } => Some(Self::Store { used, max }),
            StoreError::DiskFull { free, min_free } => Some(Self::Disk { free, kept: min_free }),
            StoreError::NoSpace { .. } => Some(Self::Space),
            _ => None,
        }
    }
}

/// A size that is displayed in decimal units, as disks are sold.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..1_000_000 => write!(formatter, "{} kB", self.0 / 1000),
            1_000_000..1_000_000_000 => write!(formatter, "{} MB", self.0 / 1_000_000),
            more => write!(formatter, "{}.{} GB", more / 1_000_000_000, more / 100_000_000 % 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_names_the_scarce_resource() {
        let disk = Shortage::Disk { free: 900_000_000, kept: 1 << 30 }.to_string();
        assert!(disk.contains("disk of this host") && disk.contains("900 MB are free, and 1.0 GB"), "{disk}");
        let store = Obstacle::NoRoom(Shortage::Store { used: 5_000, max: 8_589_934_592 }).to_string();
        assert!(store.contains("block store") && store.contains("5 kB of the 8.5 GB"), "{store}");
    }
}
