//! Evidence that the own clock is right, so that unsigned times cannot move it.

use super::{Mark, NeighbourTime, OUTVOTED, OUTVOTING, SETTLING};
use crate::Time;
use std::time::Duration;

/// Observations of the own clock in this run. A clock without a battery is wrong from the start of the computer on, so a
/// clock that was right once stays right while the program runs.
#[derive(Clone, Debug, Default)]
pub(super) struct Evidence {
    last: Option<Mark>,
    /// Time since start from which on the neighbours' clocks have agreed with the own one.
    agreed_since: Option<Duration>,
    is_right: bool,
}

impl Evidence {
    /// Returns whether the clock was right at some time in this run.
    pub(super) fn is_right(&self) -> bool {
        self.is_right
    }

    /// Notes that the operating system knows the clock to be right.
    pub(super) fn confirm(&mut self) {
        self.is_right = true;
    }

    /// Notes that the clock shows `wall`. A jump means that a time server or a person has set it. A clock also is right if
    /// as many hosts as could outvote it have agreed with it for a while.
    pub(super) fn note(&mut self, wall: Time, neighbours: Option<NeighbourTime>, elapsed: Duration) {
        let was_set = self.last.is_some_and(|last| !last.fits(wall, elapsed));
        self.last = Some(Mark { time: wall, at: elapsed });
        let agrees = neighbours
            .is_some_and(|theirs| theirs.hosts >= OUTVOTING && theirs.time.0.abs_diff(wall.0) <= OUTVOTED);
        let since = self.agreed_since.unwrap_or(elapsed);
        self.agreed_since = agrees.then_some(since);
        let agreed_long = agrees && elapsed.saturating_sub(since) >= SETTLING;
        self.is_right |= was_set || agreed_long;
    }
}
