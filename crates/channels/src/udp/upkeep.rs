//! Schedules the upkeep that depends only on time: removing silent hosts, looking names up, reporting faults.
//!
//! The upkeep is done when the task is awake anyway, for a datagram or a line. The task wakes for upkeep alone only
//! when nothing else has woken it for a while.

use std::time::Duration;

/// Minimum time between two rounds while nothing is wrong.
const CALM: Duration = Duration::from_secs(5);
/// Maximum time between two rounds while nothing is wrong. A fault that is found only by upkeep may be reported this
/// late.
const LATEST: Duration = Duration::from_secs(30);
/// Time between two rounds while something is wrong, so that users soon see that it works again.
const TROUBLED: Duration = Duration::from_secs(1);

/// Time of the last round. The first round is due at once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Upkeep {
    last: Option<Duration>,
}

impl Upkeep {
    /// Returns when the next round has to be at the latest. `look_up` is when the next name has to be looked up.
    pub(crate) fn latest(&self, is_troubled: bool, look_up: Option<Duration>) -> Duration {
        self.next(if is_troubled { TROUBLED } else { LATEST }, look_up)
    }

    /// Returns whether the next round may be now.
    pub(crate) fn is_due(&self, now: Duration, is_troubled: bool, look_up: Option<Duration>) -> bool {
        self.next(if is_troubled { TROUBLED } else { CALM }, look_up) <= now
    }

    fn next(&self, pause: Duration, look_up: Option<Duration>) -> Duration {
        let next = self.last.map_or(Duration::ZERO, |last| last + pause);
        look_up.map_or(next, |look_up| next.min(look_up))
    }

    /// Records that a round was done now.
    pub(crate) fn done(&mut self, now: Duration) {
        self.last = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn an_idle_task_wakes_rarely_for_upkeep_and_a_busy_one_never() {
        let mut upkeep = Upkeep::default();
        assert_eq!(upkeep.latest(false, None), at(0));
        upkeep.done(at(100));
        assert_eq!(upkeep.latest(false, None), at(130));
        assert!(!upkeep.is_due(at(104), false, None) && upkeep.is_due(at(105), false, None));
        assert_eq!(upkeep.latest(true, None), at(101));
        assert!(upkeep.is_due(at(101), true, None));
    }

    #[test]
    fn a_name_is_looked_up_in_time() {
        let mut upkeep = Upkeep::default();
        upkeep.done(at(100));
        assert_eq!(upkeep.latest(false, Some(at(102))), at(102));
        assert!(
            upkeep.is_due(at(102), false, Some(at(102))) && !upkeep.is_due(at(102), false, Some(at(103)))
        );
    }
}
