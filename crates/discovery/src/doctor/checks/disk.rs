//! The disk of the data folder: its room, and how fast a write reaches it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::doctor::faults::{DISK_FULL, DISK_NEARLY_FULL, DISK_SLOW, DISK_UNWRITABLE};
use crate::doctor::findings::{broken, size, unknown, warning, works};
use crate::doctor::observed::{DataFolder, Observed};
use crate::protocol::Finding;
use std::time::Duration;
use telemetry::report;

/// Time of a synced write of 4 KiB above which the disk is slow. A worn SD card takes about 100 ms.
const SLOW: Duration = Duration::from_secs(1);

pub(crate) fn check(observed: &Observed) -> Vec<Finding> {
    observed.data.iter().flat_map(|data| [room(data), speed(data)]).collect()
}

fn room(data: &DataFolder) -> Finding {
    const CODE: &str = "disk.room";
    let Some(free) = data.free else { return unknown(CODE, "the free space of the disk is not known") };
    let reserve = data.reserve.unwrap_or_default();
    let folder = data.path.as_str();
    match &data.refusal {
        Some(reason) => broken(&report!(DISK_FULL, folder = folder, free = size(free), reason = reason)),
        None if free < reserve.saturating_mul(2) => {
            let reserve = size(reserve);
            warning(&report!(DISK_NEARLY_FULL, folder = folder, free = size(free), reserve = reserve))
        }
        None => works(CODE, format!("the disk of {folder} has {} left", size(free))),
    }
}

fn speed(data: &DataFolder) -> Finding {
    const CODE: &str = "disk.write";
    let folder = data.path.as_str();
    match &data.write {
        None => {
            unknown(CODE, "it is not known how fast a write reaches the disk: the test did not end in time")
        }
        Some(Err(error)) => broken(&report!(DISK_UNWRITABLE, folder = folder, error = error)),
        Some(Ok(time)) if *time > SLOW => {
            warning(&report!(DISK_SLOW, folder = folder, milliseconds = time.as_millis()))
        }
        Some(Ok(time)) => {
            works(CODE, format!("a write reaches the disk of {folder} within {} ms", time.as_millis().max(1)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(data: DataFolder) -> Vec<String> {
        let observed = Observed { data: Some(data), ..Observed::default() };
        check(&observed).into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn a_disk_without_room_or_speed_is_named() {
        let good = DataFolder {
            free: Some(1000),
            reserve: Some(100),
            write: Some(Ok(Duration::from_millis(3))),
            ..DataFolder::default()
        };
        assert_eq!(codes(good.clone()), ["disk.room", "disk.write"]);
        assert_eq!(codes(DataFolder { free: Some(199), ..good.clone() })[0], "disk.nearly-full");
        assert_eq!(codes(DataFolder { refusal: Some("full".into()), ..good.clone() })[0], "disk.full");
        assert_eq!(codes(DataFolder { write: Some(Ok(SLOW * 2)), ..good.clone() })[1], "disk.slow");
        assert_eq!(codes(DataFolder { write: Some(Err("no".into())), ..good })[1], "disk.unwritable");
    }
}
