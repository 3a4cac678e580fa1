//! Which download is next. Pure.

use std::cmp::Reverse;
use std::time::Duration;
use tokio::time::Instant;

/// How many are fetched at one time.
pub(crate) const PARALLEL: usize = 4;
/// One on which nothing came lets others go first for so long.
const REST: Duration = Duration::from_secs(60);

/// What decides about a download's turn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    pub(crate) number: u64,
    pub(crate) priority: i32,
    /// When it last had to stop without being whole.
    pub(crate) stalled: Option<Instant>,
    /// It cannot go on before.
    pub(crate) not_before: Option<Instant>,
}

/// The best of those that wait: those first on which something may come, then the most urgent, then whose turn was longest
/// ago, then the first ordered.
pub(crate) fn next(waiting: impl Iterator<Item = Turn>, now: Instant) -> Option<u64> {
    let may_begin = waiting.filter(|turn| turn.not_before.is_none_or(|at| at <= now));
    let best = may_begin.min_by_key(|turn| {
        let rests = turn.stalled.is_some_and(|at| now < at + REST);
        (rests, Reverse(turn.priority), turn.stalled, turn.number)
    });
    best.map(|turn| turn.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(number: u64, priority: i32) -> Turn {
        Turn { number, priority, stalled: None, not_before: None }
    }

    #[test]
    fn the_urgent_go_first_and_whoever_stalled_lets_others_go() {
        let now = Instant::now() + Duration::from_secs(1000);
        let ago = |seconds| Some(now - Duration::from_secs(seconds));
        let next = |turns: &[Turn]| next(turns.iter().copied(), now);
        assert_eq!(next(&[]), None);
        assert_eq!(next(&[turn(1, 0), turn(2, 0)]), Some(1));
        assert_eq!(next(&[turn(1, 0), turn(2, 1)]), Some(2));
        let stalled = Turn { stalled: ago(5), ..turn(1, 9) };
        assert_eq!(next(&[stalled, turn(2, 0)]), Some(2));
        // With nobody else to go first it goes on at once.
        assert_eq!(next(&[stalled]), Some(1));
        let rested = Turn { stalled: ago(100), ..turn(1, 9) };
        assert_eq!(next(&[rested, turn(2, 0)]), Some(1));
        assert_eq!(next(&[rested, Turn { stalled: ago(200), ..turn(2, 9) }]), Some(2));
        let later = Turn { not_before: Some(now + Duration::from_secs(1)), ..turn(1, 0) };
        assert_eq!(next(&[later]), None);
    }
}
