//! The space of the file systems.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Root, Space};
use crate::metrics::{FILESYSTEM_FREE, FILESYSTEM_LIMIT, FILESYSTEM_UTILIZATION};
use crate::sample::Readings;

/// Maximum number of file systems that are measured.
const MAX_FILESYSTEMS: usize = 8;

/// Adds the readings of the file systems of these paths. A file system with several paths is measured once, under the
/// first one.
pub(super) fn read(root: &impl Root, paths: &[String], readings: &mut Readings) {
    let mut measured: Vec<u64> = Vec::new();
    for path in paths.iter().take(MAX_FILESYSTEMS) {
        let Some(space) = root.space(path).filter(|space| space.total > 0) else { continue };
        if measured.contains(&space.id) {
            continue;
        }
        measured.push(space.id);
        readings.add_for(&FILESYSTEM_LIMIT, path, space.total as f64);
        readings.add_for(&FILESYSTEM_FREE, path, space.available as f64);
        readings.add_for(&FILESYSTEM_UTILIZATION, path, utilization(space));
    }
}

/// Returns the share in use, of the space that users other than the administrator can use, as `df` does.
fn utilization(space: Space) -> f64 {
    let used = space.total.saturating_sub(space.unused);
    let usable = used.saturating_add(space.available);
    // A file system in which nobody may write has no room.
    if usable == 0 { 1.0 } else { used as f64 / usable as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_of_the_administrator_is_not_usable() {
        let space = |unused, available| Space { id: 1, total: 100, unused, available };
        assert_eq!(utilization(space(100, 95)), 0.0);
        assert_eq!(utilization(space(5, 0)), 1.0);
        assert_eq!(utilization(space(50, 50)), 0.5);
        assert_eq!(utilization(space(200, 0)), 1.0, "a wrong answer of the system");
    }
}
