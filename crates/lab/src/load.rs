//! How busy the machine is: figures of a crowded one say little about the programs.

use std::fs;

use crate::{Error, Result};

/// Time of all processors since the machine started, in ticks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    busy: u64,
    total: u64,
}

impl Load {
    pub(crate) fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").map_err(Error::io("/proc/stat"))?;
        parse(&text).ok_or_else(|| Error::answer("/proc/stat", text))
    }

    /// The share, 0 to 1, of all processors' time that was used since then, by whomever.
    pub(crate) fn busy_since(then: Self) -> Result<f64> {
        let now = Self::now()?;
        let total = now.total.saturating_sub(then.total).max(1);
        Ok(now.busy.saturating_sub(then.busy) as f64 / total as f64)
    }
}

fn parse(stat: &str) -> Option<Load> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    // Of guests' time the line tells twice, so only the first eight count.
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
    let [_, _, _, idle, waiting, ..] = ticks.as_slice() else { return None };
    let total = ticks.iter().sum();
    Some(Load { busy: total - idle - waiting, total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_for_a_disk_is_not_busy() {
        let load = parse("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1 2\n").unwrap();
        assert_eq!((load.busy, load.total), (27, 36));
        assert!(parse("intr 1 2 3").is_none());
    }
}
