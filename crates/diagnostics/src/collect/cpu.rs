//! The processor: how much of its time is used, and how many threads wait for it.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{Root, number};
use crate::metrics::{CPU_COUNT, CPU_UTILIZATION, LOAD_1, LOAD_5, LOAD_15, LOAD_SHARE};
use crate::sample::Readings;

/// Maximum number of lines of `/proc/stat` that are read. The lines of processors come first.
const MAX_LINES: usize = 1024;
/// Columns of a processor's line that sum up to its whole time. The later ones are part of the first.
const COLUMNS: usize = 8;
/// Columns of the time in which nothing ran: idle, and waiting for a disk.
const IDLE_COLUMNS: [usize; 2] = [3, 4];

/// Time of all processors since the boot, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CpuTimes {
    total: u64,
    idle: u64,
}

/// Adds the readings of the processor. Returns the present times, for the next call.
pub(super) fn read(root: &impl Root, before: Option<CpuTimes>, readings: &mut Readings) -> Option<CpuTimes> {
    let stat = root.read("/proc/stat").unwrap_or_default();
    let (now, cpus) = (times(&stat), count(&stat));
    if let Some(share) = before.zip(now).and_then(|(before, now)| utilization(before, now)) {
        readings.add(&CPU_UTILIZATION, share);
    }
    if cpus > 0 {
        readings.add(&CPU_COUNT, cpus as f64);
    }
    let load = root.read("/proc/loadavg").unwrap_or_default();
    if let Some([one, five, fifteen]) = loads(&load) {
        readings.add(&LOAD_1, one);
        readings.add(&LOAD_5, five);
        readings.add(&LOAD_15, fifteen);
        if cpus > 0 {
            readings.add(&LOAD_SHARE, five / cpus as f64);
        }
    }
    now
}

/// Reads the line of all processors of `/proc/stat`.
fn times(stat: &str) -> Option<CpuTimes> {
    let mut words = stat.lines().take(MAX_LINES).find(|line| line.starts_with("cpu "))?.split_whitespace();
    words.next();
    let ticks: Vec<u64> = words.take(COLUMNS).map_while(|word| word.parse().ok()).collect();
    let idle = IDLE_COLUMNS.iter().try_fold(0_u64, |sum, at| ticks.get(*at)?.checked_add(sum))?;
    let total = ticks.iter().try_fold(0_u64, |sum, ticks| sum.checked_add(*ticks))?;
    Some(CpuTimes { total, idle })
}

/// Returns the number of processors in `/proc/stat`.
fn count(stat: &str) -> usize {
    let is_one = |line: &&str| {
        line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_digit()))
    };
    stat.lines().take(MAX_LINES).filter(is_one).count()
}

/// Returns the share of the time between two readings in which the processors worked. The time of waiting for a disk
/// may shrink, so the share is limited.
fn utilization(before: CpuTimes, now: CpuTimes) -> Option<f64> {
    let total = now.total.checked_sub(before.total).filter(|total| *total > 0)?;
    let idle = now.idle.saturating_sub(before.idle).min(total);
    Some((total - idle) as f64 / total as f64)
}

/// Reads the three means of `/proc/loadavg`.
fn loads(text: &str) -> Option<[f64; 3]> {
    let mut words = text.split_whitespace();
    let mut load = || words.next().and_then(number).filter(|load| *load >= 0.0);
    Some([load()?, load()?, load()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 50 0 50 350 50 0 0 0 25 0\n\
        cpu1 50 0 50 350 50 0 0 0 25 0\nintr 7 8 9\nctxt 1\nbtime 1700000000\n";

    #[test]
    fn the_utilization_is_the_share_of_the_time_that_was_not_idle() {
        let before = times(STAT).unwrap();
        assert_eq!(before, CpuTimes { total: 1000, idle: 800 });
        let now = times("cpu 150 0 150 750 150 0 0 0").unwrap();
        assert_eq!(utilization(before, now), Some(0.5));
        assert_eq!(utilization(before, before), None, "no time has passed");
        assert_eq!(utilization(now, before), None, "the counters began anew");
        assert_eq!(utilization(before, CpuTimes { total: 1010, idle: 700 }), Some(1.0));
    }

    #[test]
    fn processors_are_counted() {
        assert_eq!((count(STAT), count(""), count("cpu 1\ncpux 2\n")), (2, 0, 0));
    }

    #[test]
    fn wrong_texts_have_no_times() {
        let large = format!("cpu {0} {0} 1 1 1", u64::MAX);
        for text in ["", "cpu", "cpu ", "cpu 1 2 3 4", "cpu x", "cpu0 1 2 3 4 5", &large] {
            assert_eq!(times(text), None, "{text}");
        }
    }

    #[test]
    fn the_load_is_read() {
        assert_eq!(loads("0.52 1.05 10.58 1/980 12345\n"), Some([0.52, 1.05, 10.58]));
        assert_eq!((loads(""), loads("1 2"), loads("1 nan 2"), loads("-1 1 1")), (None, None, None, None));
    }
}
