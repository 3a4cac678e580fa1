//! The wall clock of this computer, and what the operating system knows about it.

use dcache::Time;
use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Maximum difference, in seconds, to the battery clock or to the last synchronization.
const TOLERANCE: u64 = 60;
/// Maximum number of battery clocks that are read.
const MAX_CLOCKS: usize = 4;
/// File that systemd-timesyncd touches whenever a time server has set the clock. It is removed when the computer is
/// switched off.
const SYNCHRONIZED: &str = "run/systemd/timesync/synchronized";
const BATTERY_CLOCKS: &str = "sys/class/rtc";

/// Returns the time that the wall clock of this computer shows.
pub fn system_clock() -> Time {
    since_1970(SystemTime::now())
}

/// Returns whether the operating system knows that the wall clock, which shows `wall`, is set. The clock then agrees with
/// one that has a battery, or a time server has set it since this computer was switched on.
pub fn is_system_clock_set(wall: Time) -> bool {
    is_set(Path::new("/"), wall)
}

fn is_set(root: &Path, wall: Time) -> bool {
    was_synchronized(root, wall) || agrees_with_battery(root, wall)
}

fn was_synchronized(root: &Path, wall: Time) -> bool {
    let file = fs::metadata(root.join(SYNCHRONIZED)).and_then(|file| file.modified());
    // A program may see a clock that is behind the one of the computer.
    file.is_ok_and(|at| since_1970(at).0 <= wall.0.saturating_add(TOLERANCE))
}

/// Returns whether a battery clock shows the same time. Without its battery it starts in 1970 or 2000, while the clock of
/// the system continues from the time that it showed when it was switched off. A time server sets both.
fn agrees_with_battery(root: &Path, wall: Time) -> bool {
    let clocks = fs::read_dir(root.join(BATTERY_CLOCKS)).into_iter().flatten().flatten();
    let shown = clocks.take(MAX_CLOCKS).filter_map(|clock| {
        let mut text = String::new();
        fs::File::open(clock.path().join("since_epoch")).ok()?.take(32).read_to_string(&mut text).ok()?;
        text.trim().parse::<u64>().ok()
    });
    shown.into_iter().any(|time| time.abs_diff(wall.0) <= TOLERANCE)
}

fn since_1970(time: SystemTime) -> Time {
    Time(time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time(1_800_000_000);

    #[test]
    fn a_clock_is_set_if_a_battery_clock_agrees() {
        let root = tempfile::tempdir().unwrap();
        assert!(!is_set(root.path(), NOW));
        for (clock, shows) in [("rtc0", "5\n"), ("rtc1", "1800000030\n")] {
            let folder = root.path().join(BATTERY_CLOCKS).join(clock);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("since_epoch"), shows).unwrap();
        }
        assert!(is_set(root.path(), NOW));
        assert!(!is_set(root.path(), NOW.plus(3600)));
        assert!(is_set(root.path(), Time(0)), "the daemon does not use a clock in 1970");
    }

    #[test]
    fn a_clock_is_set_if_a_time_server_has_set_it() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join(SYNCHRONIZED);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        let now = system_clock();
        assert!(is_set(root.path(), now) && is_set(root.path(), now.plus(86_400)));
        assert!(!is_set(root.path(), Time(now.0 - 3600)), "this program sees another clock");
    }
}
