//! Load of the machine. On a busy machine, measured figures are not reliable.

use std::fs;
use std::time::Duration;

use crate::{Error, Process, Result, usage};

/// Processor time used so far, summed over all processors.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    busy: Duration,
    total: Duration,
    /// Time used by the measured processes.
    measured: Duration,
    /// Time used by this process.
    own: Duration,
}

/// Shares of all processors' time, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shares {
    /// Share used by all processes together.
    pub(crate) busy: f64,
    /// Share used by processes that are neither measured nor this one.
    pub(crate) others: f64,
    /// Processor time used by the measured processes.
    pub(crate) measured: Duration,
}

impl Load {
    /// Reads the load up to now, with the times of these processes.
    pub(crate) fn now(measured: &[&Process]) -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").map_err(Error::io("/proc/stat"))?;
        let (busy, total) = parse(&text).ok_or_else(|| Error::answer("/proc/stat", text))?;
        let tick =
            Duration::from_secs(1) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100);
        let ticks = |number: u64| tick * u32::try_from(number).unwrap_or(u32::MAX);
        let measured = measured.iter().map(|process| process.cpu_time()).sum::<Result<_>>()?;
        let own = usage::cpu_time(std::process::id())?;
        Ok(Self { busy: ticks(busy), total: ticks(total), measured, own })
    }

    /// Returns the shares between `then` and this reading.
    pub(crate) fn since(self, then: Self) -> Shares {
        let total = self.total.saturating_sub(then.total).as_secs_f64().max(0.01);
        let busy = self.busy.saturating_sub(then.busy);
        let measured = self.measured.saturating_sub(then.measured);
        let others = busy.saturating_sub(measured).saturating_sub(self.own.saturating_sub(then.own));
        Shares { busy: busy.as_secs_f64() / total, others: others.as_secs_f64() / total, measured }
    }
}

/// Returns the ticks in use and the total number of ticks.
fn parse(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    // The line counts guests' time twice, so only the first eight fields are added.
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    let [_, _, _, idle, waiting, ..] = ticks.as_slice() else { return None };
    let total: u64 = ticks.iter().sum();
    Some((total - idle - waiting, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_disk_is_not_busy() {
        assert_eq!(parse("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2\n"), Some((27, 36)));
        assert_eq!(parse("intr 1 2 3"), None);
    }

    #[test]
    fn time_of_measured_processes_and_of_this_one_is_not_time_of_others() {
        let seconds = Duration::from_secs;
        let at = |busy, total, measured, own| Load {
            busy: seconds(busy),
            total: seconds(total),
            measured: seconds(measured),
            own: seconds(own),
        };
        let shares = at(16, 40, 5, 3).since(at(10, 20, 1, 2));
        assert_eq!(shares, Shares { busy: 0.3, others: 0.05, measured: seconds(4) });
    }
}
