//! The free space of the disk that this robot leaves to its recordings. Below it, copies for other robots go. This module
//! is pure: the caller passes the sizes.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::replicate::Pressure;
use std::time::Duration;

/// Number of bytes in a mebibyte.
const MIB: u64 = 1024 * 1024;
/// Default floor: this fraction of the disk, at most [`MOST`].
const PART: u64 = 10;
/// Maximum default floor, in bytes. A robot that records 4 MB/s fills it in nine minutes, and letting go of copies takes
/// seconds.
const MOST: u64 = 2048 * MIB;
/// Fastest loss of free space, in bytes per second, for which the free space is checked in time: twice the rate at which
/// a robot records.
const FASTEST: u64 = 8_000_000;
/// Minimum and maximum time between two checks. A check costs one system call.
const EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// The free space that this robot keeps for its recordings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Floor {
    bytes: u64,
}

/// The free space of the disk at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space {
    /// Number of bytes that are free.
    pub(crate) free: u64,
    /// Number of bytes of blocks that are neither pinned nor protected.
    pub(crate) unheld: u64,
}

/// The amount to remove so that the floor is free.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Removal {
    /// Number of bytes of unpinned blocks.
    pub(crate) unheld: u64,
    /// Copies to let go of.
    pub(crate) pressure: Pressure,
}

impl Floor {
    /// Creates the floor for a disk of this size. `configured` is the floor in MiB that a user set, if any.
    pub(crate) fn new(configured: Option<u64>, disk_bytes: u64) -> Self {
        let usual = (disk_bytes / PART).min(MOST);
        Self { bytes: configured.map_or(usual, |mib| mib.saturating_mul(MIB)) }
    }

    /// Returns the room for files of other robots. A quarter more than the floor stays free, so that a file is not
    /// fetched and let go of in turn.
    pub(crate) fn room(&self, space: Space) -> u64 {
        let kept = self.bytes.saturating_add(self.bytes / 4);
        space.free.saturating_add(space.unheld).saturating_sub(kept)
    }

    /// Returns what to remove. An eighth more than the floor is freed, so that not every check has to remove something.
    pub(crate) fn removal(&self, space: Space) -> Removal {
        if space.free >= self.bytes {
            return Removal::default();
        }
        let lacking = self.bytes.saturating_add(self.bytes / 8) - space.free;
        let unheld = lacking.min(space.unheld);
        let pressure = Pressure { bytes: lacking - unheld, is_urgent: space.free < self.bytes / 2 };
        Removal { unheld, pressure }
    }

    /// Returns the free space that there should be when the floor is not free: an eighth more than the floor.
    pub(crate) fn wanted(&self, free: u64) -> Option<u64> {
        (free < self.bytes).then(|| self.bytes.saturating_add(self.bytes / 8))
    }

    /// Returns the time until the next check. The free space cannot fall below the floor long before it.
    pub(crate) fn next_check(&self, space: Space) -> Duration {
        let left = space.free.saturating_sub(self.bytes) / FASTEST;
        Duration::from_secs(left).clamp(EVERY.0, EVERY.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn floor(mib: u64) -> Floor {
        Floor::new(Some(mib), 0)
    }

    fn space(free: u64, unheld: u64) -> Space {
        Space { free: free * MIB, unheld: unheld * MIB }
    }

    #[test]
    fn the_default_floor_is_a_tenth_of_the_disk_and_at_most_two_gibibytes() {
        assert_eq!(Floor::new(None, 1000 * MIB), floor(100));
        assert_eq!(Floor::new(None, 1_000_000 * MIB), floor(2048));
    }

    #[test]
    fn unpinned_blocks_go_before_copies_and_little_space_is_urgent() {
        assert_eq!(floor(800).removal(space(800, 0)), Removal::default());
        let removal = floor(800).removal(space(700, 50));
        assert_eq!(removal.unheld, 50 * MIB);
        assert_eq!(removal.pressure, Pressure { bytes: 150 * MIB, is_urgent: false });
        assert!(floor(800).removal(space(399, 0)).pressure.is_urgent);
        assert_eq!(floor(800).removal(space(700, 900)).pressure.bytes, 0);
    }

    #[test]
    fn a_robot_with_much_free_space_checks_it_seldom() {
        assert_eq!(floor(800).next_check(space(100_000, 0)), EVERY.1);
        assert_eq!(floor(800).next_check(space(800, 0)), EVERY.0);
    }

    proptest! {
        #[test]
        fn a_recording_is_noticed_before_half_of_the_floor_is_used(
            mib in 64u64..4096, free in 0u64..100_000, rate in 0u64..=4_000_000,
        ) {
            let (floor, mut space) = (floor(mib), space(free.max(mib), 0));
            loop {
                let wait = floor.next_check(space).as_secs();
                let after = space.free.saturating_sub(rate * wait);
                if after < floor.bytes || rate == 0 || wait == EVERY.1.as_secs() && after > floor.bytes + (2 << 30) {
                    prop_assert!(after >= floor.bytes / 2);
                    break;
                }
                space.free = after;
            }
        }

        #[test]
        fn a_robot_with_room_has_nothing_to_remove(mib in 0u64..4096, free in 0u64..9000, unheld in 0u64..9000) {
            let (floor, space) = (floor(mib), space(free, unheld));
            if floor.room(space) > 0 {
                prop_assert_eq!(floor.removal(space).pressure.bytes, 0);
            }
        }
    }
}
