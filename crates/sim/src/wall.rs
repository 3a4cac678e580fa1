//! The wall clock of a node, which may show a wrong time.

use dcache::Time;
use std::time::Duration;

/// Start time of every run.
pub(crate) const START: Time = Time(1_800_000_000);
/// Build time of the simulated program.
pub(crate) const BUILT: Time = Time(1_790_000_000);

/// A clock that may be wrong, may drift, and may be set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wall {
    /// Seconds by which it is ahead of the true time.
    pub(crate) ahead: i64,
    /// Seconds that it gains per million seconds.
    pub(crate) drift: i64,
}

impl Wall {
    /// Returns the time that it shows when `now` of the run has passed.
    pub(crate) fn shows(self, now: Duration) -> Time {
        let true_time = i128::from(START.0) * 1_000_000 + now.as_micros() as i128;
        let gained = now.as_secs() as i128 * i128::from(self.drift);
        let shown = (true_time + gained) / 1_000_000 + i128::from(self.ahead);
        Time(u64::try_from(shown).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_has_an_offset_and_a_drift() {
        let hour = Duration::from_secs(3600);
        assert_eq!(Wall::default().shows(hour), START.plus(3600));
        assert_eq!(Wall { ahead: -10, drift: 0 }.shows(hour), START.plus(3590));
        assert_eq!(Wall { ahead: 0, drift: 1000 }.shows(hour * 1000), START.plus(3_600_000 + 3600));
        assert_eq!(Wall { ahead: -2_000_000_000, drift: 0 }.shows(hour), Time(0));
    }
}
