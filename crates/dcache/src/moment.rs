//! The time of day as a node knows it: by its own clock and by those of its neighbours.

use crate::Time;
use std::time::Duration;

/// Jump of the time, in seconds, after which deciders look anew.
const JUMP: u64 = 5;
/// The same for what the clocks of neighbours show: more than they differ by chance from one look to the next.
const NEIGHBOURS_JUMP: u64 = 300;

/// A moment, as far as a node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// By what to judge.
    pub time: Time,
    /// By what to forget: never later than what the clock has shown for a while.
    pub settled: Time,
    /// Whether the time is known, and not just that it is no earlier.
    pub is_certain: bool,
    /// What the clocks of neighbours show; the same as `time` when they agree, when none is heard, when they are more than a
    /// day away, or where peers have roles.
    pub neighbours: Time,
}

impl Moment {
    /// The moment for whoever has no doubt, such as a test.
    pub const fn certain(time: Time) -> Self {
        Self { time, settled: time, is_certain: true, neighbours: time }
    }

    /// Returns the earlier of the own time and that of the neighbours.
    pub fn earliest(&self) -> Time {
        self.time.min(self.neighbours)
    }

    /// Returns the later of the own time and that of the neighbours.
    pub fn latest(&self) -> Time {
        self.time.max(self.neighbours)
    }

    /// Whether a clock was set since `before`, after which this much time has passed: what holds, and what is to be stated,
    /// may be different although no record came.
    pub fn has_jumped(&self, before: &Self, passed: Duration) -> bool {
        let by = |now: Time, then: Time| now.0.abs_diff(then.plus(passed.as_secs()).0);
        by(self.time, before.time) > JUMP || by(self.neighbours, before.neighbours) > NEIGHBOURS_JUMP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_is_a_jump_and_one_that_runs_on_is_none() {
        let (now, minute) = (Time(1_800_000_000), Duration::from_secs(60));
        let (before, later) = (Moment::certain(now), now.plus(60));
        assert!(!Moment::certain(later).has_jumped(&before, minute));
        assert!(Moment::certain(later.plus(6)).has_jumped(&before, minute));
        let apart = Moment { neighbours: later.plus(7200), ..Moment::certain(later) };
        assert!(apart.has_jumped(&before, minute));
    }
}
