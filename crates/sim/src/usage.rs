//! Measures the time and memory that this process used. Only the program reads them. A run must not, because it has to
//! be repeatable.

use serde::Serialize;
use std::time::{Duration, Instant};

/// Time and memory used until a moment.
pub(crate) struct Usage {
    at: Instant,
    cpu: Duration,
    peak: u64,
}

/// Time and memory used between two moments.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Used {
    /// Elapsed time of the wall clock.
    pub(crate) seconds: f64,
    /// Processor time on all cores together.
    pub(crate) cpu_seconds: f64,
    /// Increase of the peak memory, in bytes.
    pub(crate) memory: u64,
}

/// Returns the time and memory used so far. Values that the system does not provide count as zero.
pub(crate) fn usage() -> Usage {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // User time and system time are the 12th and the 13th field after the name of the process, in hundredths of a
    // second. The name itself may contain any characters.
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
