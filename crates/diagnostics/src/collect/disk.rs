//! The disks: how much is read and written, and how much of their life is used up.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::Root;
use crate::metrics::{DISK_BUSY, DISK_READ, DISK_WEAR, DISK_WRITTEN};
use crate::sample::Readings;

/// Maximum number of lines of `/proc/diskstats` that are read.
const MAX_LINES: usize = 512;
/// Maximum number of disks that are measured.
const MAX_DISKS: usize = 4;
/// Size, in bytes, of a sector in `/proc/diskstats`, whatever the disk is.
const SECTOR_BYTES: f64 = 512.0;
/// Beginnings of the names of block devices that are no disks of their own.
const NO_DISKS: [&str; 6] = ["loop", "ram", "zram", "dm-", "md", "sr"];
/// Highest estimate that an eMMC gives: its expected life is over.
const LIFE_IS_OVER: u32 = 0x0b;

/// Adds the readings of all disks.
pub(super) fn read(root: &impl Root, readings: &mut Readings) {
    let text = root.read("/proc/diskstats").unwrap_or_default();
    let disks = root.names("/sys/block");
    for disk in disks.iter().filter(|name| is_disk(name)).take(MAX_DISKS) {
        if let Some(traffic) = traffic(&text, disk) {
            readings.add_for(&DISK_READ, disk, traffic.sectors_read as f64 * SECTOR_BYTES);
            readings.add_for(&DISK_WRITTEN, disk, traffic.sectors_written as f64 * SECTOR_BYTES);
            readings.add_for(&DISK_BUSY, disk, traffic.busy_millis as f64 / 1000.0);
        }
        let life = root.read(&format!("/sys/block/{disk}/device/life_time"));
        if let Some(wear) = life.and_then(|text| wear(&text)) {
            readings.add_for(&DISK_WEAR, disk, wear);
        }
    }
}

fn is_disk(name: &str) -> bool {
    !NO_DISKS.iter().any(|other| name.starts_with(other))
}

/// Counters of a disk since the boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Traffic {
    sectors_read: u64,
    sectors_written: u64,
    busy_millis: u64,
}

/// Reads the line of a disk in `/proc/diskstats`.
fn traffic(text: &str, disk: &str) -> Option<Traffic> {
    text.lines().take(MAX_LINES).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().take(13).collect();
        let &[_, _, name, _, _, sectors_read, _, _, _, sectors_written, _, _, busy_millis] = words.as_slice()
        else {
            return None;
        };
        let is_ours = name == disk;
        let read = |word: &str| word.parse().ok().filter(|_| is_ours);
        Some(Traffic {
            sectors_read: read(sectors_read)?,
            sectors_written: read(sectors_written)?,
            busy_millis: read(busy_millis)?,
        })
    })
}

/// Reads the file `life_time` of an eMMC: two estimates in steps of ten percent, for two kinds of memory cells. Returns
/// the worse one, as a share of the expected life. Zero means that a kind has no estimate.
fn wear(text: &str) -> Option<f64> {
    let estimate = |word: &str| u32::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let estimates = text.split_whitespace().take(2).filter_map(estimate);
    let worst = estimates.filter(|step| (1..=LIFE_IS_OVER).contains(step)).max()?;
    // The step 1 means up to ten percent.
    Some(f64::from(worst.min(LIFE_IS_OVER - 1)) / 10.0 + if worst == LIFE_IS_OVER { 0.1 } else { 0.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_disk_is_read_and_not_that_of_its_partition() {
        let text = " 179       1 mmcblk0p1 1 1 1 1 1 1 1 1 0 1 1 0 0 0 0 0 0\n \
            179       0 mmcblk0 10 2 300 4 50 6 700 8 0 90 12 0 0 0 0 0 0\n";
        let disk = traffic(text, "mmcblk0").unwrap();
        assert_eq!(disk, Traffic { sectors_read: 300, sectors_written: 700, busy_millis: 90 });
        assert_eq!((traffic(text, "mmcblk"), traffic("179 0 mmcblk0 1", "mmcblk0")), (None, None));
        assert!(is_disk("mmcblk0") && is_disk("nvme0n1") && !is_disk("loop7") && !is_disk("zram0"));
    }

    #[test]
    fn the_worse_estimate_of_an_emmc_counts() {
        for (text, share) in [
            ("0x01 0x03\n", Some(0.3)),
            ("0x0a 0x00\n", Some(1.0)),
            ("0x0b 0x01\n", Some(1.1)),
            ("0x00 0x00\n", None),
            ("0xff 0x01\n", Some(0.1)),
            ("3 4\n", None),
            ("", None),
        ] {
            assert_eq!(wear(text), share, "{text}");
        }
    }
}
