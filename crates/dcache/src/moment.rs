//! The time of day as a node knows it, by its own clock and by the clocks of its neighbours.

use crate::Time;
use std::time::Duration;

/// Jump of the time, in seconds, after which deciders must decide again.
const JUMP: u64 = 5;
/// Jump of the neighbours' time, in seconds, after which deciders must decide again. It is larger than the random
/// difference between two readings.
const NEIGHBOURS_JUMP: u64 = 300;

/// A moment in time, as far as a node knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Time by which records are judged.
    pub time: Time,
    /// Time by which expired records are dropped. It is never later than a time that the clock has shown without a jump
    /// for ten minutes.
    pub settled: Time,
    /// Whether the time is known. If `false`, the node knows only that the present time is not earlier than `time`.
    pub is_certain: bool,
    /// Time by the clocks of neighbours. It equals `time` when they agree, when no neighbour is heard, when they are
    /// more than a day away, or when peers have roles.
    pub neighbours: Time,
}

impl Moment {
    /// Creates a moment that is known without doubt, such as for a test.
    pub const fn certain(time: Time) -> Self {
        Self { time, settled: time, is_certain: true, neighbours: time }
    }

    /// Returns the earlier of the own time and the neighbours' time.
    pub fn earliest(&self) -> Time {
        self.time.min(self.neighbours)
    }

    /// Returns the later of the own time and the neighbours' time.
    pub fn latest(&self) -> Time {
        self.time.max(self.neighbours)
    }

    /// Returns whether a clock was set since `before`, after which `passed` has elapsed. Different records may then
    /// hold, and other statements may be due, although no record arrived.
    pub fn has_jumped(&self, before: &Self, passed: Duration) -> bool {
        let by = |now: Time, then: Time| now.0.abs_diff(then.plus(passed.as_secs()).0);
        by(self.time, before.time) > JUMP || by(self.neighbours, before.neighbours) > NEIGHBOURS_JUMP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn setting_a_clock_is_a_jump_and_running_on_is_none() {
        let (now, minute) = (Time(1_800_000_000), Duration::from_secs(60));
        let (before, later) = (Moment::certain(now), now.plus(60));
        assert!(!Moment::certain(later).has_jumped(&before, minute));
        assert!(Moment::certain(later.plus(6)).has_jumped(&before, minute));
        let apart = Moment { neighbours: later.plus(7200), ..Moment::certain(later) };
        assert!(apart.has_jumped(&before, minute));
    }
}
