//! The memory and the swap space.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Root;
use crate::metrics::{MEMORY_AVAILABLE, MEMORY_LIMIT, MEMORY_UTILIZATION, SWAP_USED, SWAP_UTILIZATION};
use crate::sample::Readings;

/// Maximum number of lines of `/proc/meminfo` that are read.
const MAX_LINES: usize = 256;

/// Adds the readings of the memory.
pub(super) fn read(root: &impl Root, readings: &mut Readings) {
    let text = root.read("/proc/meminfo").unwrap_or_default();
    if let Some((total, available)) = bytes(&text, "MemTotal").zip(bytes(&text, "MemAvailable")) {
        readings.add(&MEMORY_LIMIT, total);
        readings.add(&MEMORY_AVAILABLE, available);
        readings.add(&MEMORY_UTILIZATION, (total - available).max(0.0) / total);
    }
    if let Some((total, free)) = bytes(&text, "SwapTotal").zip(bytes(&text, "SwapFree")) {
        let used = (total - free).max(0.0);
        readings.add(&SWAP_USED, used);
        // A host without swap space has no share of it.
        if total > 0.0 {
            readings.add(&SWAP_UTILIZATION, used / total);
        }
    }
}

/// Returns a value of `/proc/meminfo` in bytes. The unit `kB` there means 1024 bytes.
fn bytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().take(MAX_LINES).find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib.checked_mul(1024)? as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_names() {
        let text = "MemTotal:        4096 kB\nMemFree: 1 kB\nSwapTotalX: 2 kB\nSwapTotal:       0 kB\n";
        assert_eq!(bytes(text, "MemTotal"), Some(4096.0 * 1024.0));
        assert_eq!((bytes(text, "SwapTotal"), bytes(text, "Mem")), (Some(0.0), None));
        for wrong in ["MemTotal: 1", "MemTotal: x kB", "MemTotal: 18446744073709551615 kB", "MemTotal: -1 kB"]
        {
            assert_eq!(bytes(wrong, "MemTotal"), None, "{wrong}");
        }
    }
}
