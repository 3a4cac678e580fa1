//! Chooses the download that is fetched next. This module is pure: it has no I/O and reads no clock.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use service::JobNumber;
use std::cmp::Reverse;
use std::time::Duration;

/// Maximum number of downloads that are fetched at a time.
pub(crate) const PARALLEL: usize = 4;
/// Time after a stall during which all other waiting downloads are started before the stalled one.
const REST: Duration = Duration::from_secs(60);

/// A waiting download.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) number: JobNumber,
    pub(crate) priority: i32,
    /// Time at which the last attempt stopped before the download was complete, since the start of the process.
    pub(crate) stalled: Option<Duration>,
    /// Earliest time of the next attempt, since the start of the process.
    pub(crate) not_before: Option<Duration>,
}

/// Returns the best candidate. The criteria, the most important first: no recent stall, highest priority, earliest
/// stall, earliest order.
pub(crate) fn next(waiting: impl Iterator<Item = Candidate>, now: Duration) -> Option<JobNumber> {
    let may_begin = waiting.filter(|waiting| waiting.not_before.is_none_or(|at| at <= now));
    let best = may_begin.min_by_key(|waiting| {
        let rests = waiting.stalled.is_some_and(|at| now < at + REST);
        (rests, Reverse(waiting.priority), waiting.stalled, waiting.number)
    });
    best.map(|waiting| waiting.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(number: u64, priority: i32) -> Candidate {
        Candidate { number: JobNumber(number), priority, stalled: None, not_before: None }
    }

    #[test]
    fn urgent_downloads_go_first_and_stalled_downloads_go_last() {
        let now = Duration::from_secs(1000);
        let ago = |seconds| Some(now - Duration::from_secs(seconds));
        let next = |all: &[Candidate]| next(all.iter().copied(), now).map(|number| number.0);
        assert_eq!(next(&[]), None);
        assert_eq!(next(&[waiting(1, 0), waiting(2, 0)]), Some(1));
        assert_eq!(next(&[waiting(1, 0), waiting(2, 1)]), Some(2));
        let stalled = Candidate { stalled: ago(5), ..waiting(1, 9) };
        assert_eq!(next(&[stalled, waiting(2, 0)]), Some(2));
        // Without any other download, a stalled one continues at once.
        assert_eq!(next(&[stalled]), Some(1));
        let rested = Candidate { stalled: ago(100), ..waiting(1, 9) };
        assert_eq!(next(&[rested, waiting(2, 0)]), Some(1));
        assert_eq!(next(&[rested, Candidate { stalled: ago(200), ..waiting(2, 9) }]), Some(2));
        let later = Candidate { not_before: Some(now + Duration::from_secs(1)), ..waiting(1, 0) };
        assert_eq!(next(&[later]), None);
    }
}
