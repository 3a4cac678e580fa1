//! What keeps a fetch from going on, and the messages about it.
use std::fmt;

use crate::store::StoreError;

/// Why nothing is fetched at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Obstacle {
    /// As many are fetched as may be at one time.
    #[error("other fetches come first")]
    Queued,
    /// There is nobody to ask.
    #[error("nobody is connected")]
    Alone,
    /// Those who are connected do not have it, or do not send it.
    #[error("none of the {0} connected peers sends it")]
    Silent(usize),
    /// There is no room here.
    #[error(transparent)]
    NoRoom(Shortage),
}

/// What there is too little of for what is to be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Shortage {
    /// The store may not grow any more.
    #[error(
        "the block store of this host is full: {} of the {} that it may have are pinned or in use; unpin something, or allow \
         it more with `store_max_mib`",
        Size(*used),
        Size(*max)
    )]
    Store {
        /// Bytes that cannot be thrown away.
        used: u64,
        /// Bytes allowed.
        max: u64,
    },
    /// The operating system gives no more.
    #[error("the disk of this host is full, or this user may not have more of it; delete something")]
    Space,
    /// The file system has to keep some bytes free.
    #[error(
        "the disk of this host is full: {} are free, and {} have to stay free (`disk_free_mib`); delete something",
        Size(*free),
        Size(*kept)
    )]
    Disk {
        /// Bytes that are free.
        free: u64,
        /// Bytes that have to stay free.
        kept: u64,
    },
}

impl Shortage {
    /// What the store lacks, if that is why it failed.
    pub(super) fn of(error: &StoreError) -> Option<Self> {
        match *error {
            StoreError::Full { used, max } => Some(Self::Store { used, max }),
            StoreError::DiskFull { free, min_free } => Some(Self::Disk { free, kept: min_free }),
            StoreError::NoSpace { .. } => Some(Self::Space),
            _ => None,
        }
    }
}

/// A size in decimal units, as disks are sold.
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
    fn who_is_short_of_what_is_said() {
        let disk = Shortage::Disk { free: 900_000_000, kept: 1 << 30 }.to_string();
        assert!(disk.contains("disk of this host") && disk.contains("900 MB are free, and 1.0 GB"), "{disk}");
        let store = Obstacle::NoRoom(Shortage::Store { used: 5_000, max: 8_589_934_592 }).to_string();
        assert!(store.contains("block store") && store.contains("5 kB of the 8.5 GB"), "{store}");
    }
}
