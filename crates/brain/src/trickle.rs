//! Trickle timers (RFC 6206): when to send a message that other nodes may send as well.
//!
//! The interval doubles while all nodes agree, up to a maximum. A node sends at a random time in the second half of its
//! interval, unless it heard enough others send the same in this interval. Disagreement resets the interval to its
//! minimum. The traffic on a network therefore does not grow with the number of its nodes.

use std::time::Duration;

/// Number of consistent messages heard that suppress this node's own (the redundancy constant `k` of RFC 6206).
const ENOUGH: u32 = 1;

/// The timer of one network.
///
/// Once the time to send has passed, the timer moves on to the next interval, although that begins a little later. So a
/// node wakes once per interval.
#[derive(Clone, Debug)]
pub(crate) struct Trickle {
    shortest: Duration,
    longest: Duration,
    /// Length of the interval in which this node sends next.
    length: Duration,
    /// Start of that interval. Until then, the previous interval lasts.
    start: Duration,
    /// Length of the previous interval.
    former: Duration,
    /// Time at which the beacon is due, since start.
    send_at: Duration,
    heard: u32,
    /// Time at which this node last sent.
    sent: Duration,
}

/// The action of an expired timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerAction {
    /// Send the message.
    Send,
    /// Do not send: enough other nodes have sent the same message.
    Suppress,
}

impl Trickle {
    /// Returns a timer whose first interval, the shortest, begins at `elapsed`. `chance` is a random number from 0 to 1.
    pub(crate) fn new((shortest, longest): (Duration, Duration), elapsed: Duration, chance: f64) -> Self {
        let mut trickle = Self {
            shortest,
            longest,
            length: shortest,
            start: elapsed,
            former: shortest,
            send_at: elapsed,
            heard: 0,
            sent: elapsed,
        };
        trickle.begin(elapsed, shortest, chance);
        trickle
    }

    fn begin(&mut self, start: Duration, length: Duration, chance: f64) {
        self.former = self.length;
        (self.start, self.length) = (start, length);
        self.send_at = start + length.mul_f64(0.5 + 0.5 * chance);
        self.heard = 0;
    }

    /// Starts the shortest interval, because something differs. Does nothing in an interval that is the shortest
    /// already.
    pub(crate) fn reset(&mut self, elapsed: Duration, chance: f64) {
        let current = if elapsed < self.start { self.former } else { self.length };
        if current > self.shortest {
            self.begin(elapsed, self.shortest, chance);
        }
    }

    /// Notes that another node sent at `elapsed` the message that this node would send.
    pub(crate) fn heard_the_same(&mut self, elapsed: Duration) {
        // A message before the start of the interval counts for the previous one, in which this node has had its turn.
        if elapsed >= self.start {
            self.heard += 1;
        }
    }

    /// Returns the time of the next call to [`Self::take_due`].
    pub(crate) fn next(&self) -> Duration {
        self.send_at
    }

    /// Returns the action that is due at `elapsed`. A node is suppressed for at most `patience`. Otherwise a liar that
    /// repeats the message of all nodes could silence a network for ever.
    pub(crate) fn take_due(
        &mut self,
        elapsed: Duration,
        patience: Duration,
        chance: f64,
    ) -> Option<TimerAction> {
        if elapsed < self.send_at {
            return None;
        }
        let action = self.send_or_suppress(elapsed, patience);
        // A node that was delayed does not make up for missed intervals.
        let end = (self.start + self.length).max(elapsed);
        self.begin(end, (self.length * 2).min(self.longest), chance);
        Some(action)
    }

    fn send_or_suppress(&mut self, elapsed: Duration, patience: Duration) -> TimerAction {
        if self.heard < ENOUGH || self.sent + patience <= elapsed {
            self.sent = elapsed;
            TimerAction::Send
        } else {
            TimerAction::Suppress
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Returns the times at which the timer sent, up to `until`.
    fn sent(trickle: &mut Trickle, until: Duration, same: bool) -> Vec<Duration> {
        let mut times = Vec::new();
        while trickle.next() <= until {
            let at = trickle.next();
            if trickle.take_due(at, SECOND * 9, 0.0) == Some(TimerAction::Send) {
                times.push(at);
            }
            if same {
                trickle.heard_the_same(trickle.start);
            }
        }
        times
    }

    #[test]
    fn intervals_double_up_to_the_longest() {
        let mut trickle = Trickle::new((SECOND * 2, SECOND * 8), Duration::ZERO, 0.0);
        let expected = [1, 4, 10, 18, 26].map(|second| SECOND * second);
        assert_eq!(sent(&mut trickle, SECOND * 27, false), expected);
        trickle.reset(SECOND * 28, 0.0);
        assert_eq!(trickle.next(), SECOND * 29);
        trickle.reset(SECOND * 28, 1.0);
        assert_eq!(trickle.next(), SECOND * 29, "the interval is the shortest already");
    }

    #[test]
    fn a_node_wakes_once_per_interval_and_counts_messages_of_that_interval_only() {
        let mut trickle = Trickle::new((SECOND * 2, SECOND * 2), Duration::ZERO, 0.0);
        assert_eq!(trickle.next(), SECOND);
        assert_eq!(trickle.take_due(SECOND, SECOND * 100, 0.5), Some(TimerAction::Send));
        // The interval from 2 to 4 s.
        assert_eq!(trickle.next(), SECOND * 2 + SECOND.mul_f64(1.5));
        trickle.heard_the_same(SECOND.mul_f64(1.9));
        let mut hearing = trickle.clone();
        assert_eq!(trickle.take_due(SECOND * 4, SECOND * 100, 0.0), Some(TimerAction::Send));
        hearing.heard_the_same(SECOND * 2);
        assert_eq!(hearing.take_due(SECOND * 4, SECOND * 100, 0.0), Some(TimerAction::Suppress));
    }

    #[test]
    fn a_difference_just_after_sending_is_shown_in_the_shortest_interval() {
        let mut trickle = Trickle::new((SECOND, SECOND * 8), Duration::ZERO, 0.0);
        trickle.take_due(trickle.next(), SECOND * 9, 0.0);
        // Still in the first, shortest interval.
        trickle.reset(SECOND.mul_f64(0.7), 0.0);
        assert_eq!(trickle.next(), SECOND * 2);
        trickle.take_due(SECOND * 2, SECOND * 9, 0.0);
        trickle.reset(SECOND.mul_f64(2.5), 0.0);
        assert_eq!(trickle.next(), SECOND * 3);
    }

    #[test]
    fn a_node_that_hears_the_same_is_suppressed_but_not_for_ever() {
        let mut trickle = Trickle::new((SECOND, SECOND), Duration::ZERO, 0.0);
        let times = sent(&mut trickle, SECOND * 100, true);
        // The first message is sent before any other was heard.
        assert_eq!(times.len(), 1 + 99 / 9);
    }
}
