//! What this process used: only the program may look, never a run.

use serde::Serialize;
use std::time::{Duration, Instant};

/// Time and memory.
pub(crate) struct Usage {
    at: Instant,
    cpu: Duration,
    peak: u64,
}

/// What was used in between.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Used {
    /// By the clock on the wall.
    pub(crate) seconds: f64,
    /// On all cores together.
    pub(crate) cpu_seconds: f64,
    /// The most memory beyond what there was before, in bytes.
    pub(crate) memory: u64,
}

/// What was used so far. What the system does not tell counts as nothing.
pub(crate) fn usage() -> Usage {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // After the name, which may hold anything, user and system time are fields 12 and 13, in hundredths of a second.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse().ok());
    Usage { at: Instant::now(), cpu: Duration::from_millis(ticks * 10), peak: peak.unwrap_or(0) * 1024 }
}

impl Usage {
    pub(crate) fn since(&self, before: &Self) -> Used {
        Used {
            seconds: (self.at - before.at).as_secs_f64(),
            cpu_seconds: self.cpu.saturating_sub(before.cpu).as_secs_f64(),
            memory: self.peak.saturating_sub(before.peak),
        }
    }
}
