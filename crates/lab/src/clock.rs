//! The clock of this machine, which all hosts of a lab share.

use std::time::{SystemTime, UNIX_EPOCH};

use dcache::Time;

/// Returns the current time in the form that records use.
pub(crate) fn now() -> Time {
    Time(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}
