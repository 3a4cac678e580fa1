//! Functions that print the checks and figures of the experiment in one common form.

use std::time::{Duration, Instant};

use crate::{Error, Result};

/// Time limit of most steps. They take a few seconds; a busy machine may need longer.
pub(super) const SOON: Duration = Duration::from_secs(90);
pub(super) const MIB: u64 = 1024 * 1024;

/// Prints a check and its result. Fails when the condition is false.
pub(super) fn must(what: &str, is_so: bool, seen: impl std::fmt::Display) -> Result {
    println!("  {}: {what}: {seen}", if is_so { "ok" } else { "FAILED" });
    if is_so { Ok(()) } else { Err(Error::answer(what, seen.to_string())) }
}

pub(super) fn say(what: &str, figure: impl std::fmt::Display) {
    println!("  {what}: {figure}");
}

pub(super) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

pub(super) fn seconds(since: Instant) -> String {
    format!("{:.1} s", since.elapsed().as_secs_f64())
}
