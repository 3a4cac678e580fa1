//! Trickle timers (RFC 6206): when to send what other nodes may be sending as well.
//!
//! The interval doubles while all nodes agree, up to a maximum. A node sends at a random time in the second half of its
//! interval, unless it heard enough others send the same in this interval. Disagreement resets the interval to its
//! minimum. The traffic on a network therefore does not grow with the number of its nodes.

use std::time::Duration;

/// Number of consistent messages heard that suppress this node's own (the redundancy constant `k` of RFC 6206).
const ENOUGH: u32 = 1;

/// The timer of one network.
#[derive(Clone, Debug)]
pub(crate) struct Trickle {
    shortest: Duration,
    longest: Duration,
    length: Duration,
    end: Duration,
    /// When to send in this interval; `None` once that time has passed.
    send_at: Option<Duration>,
    heard: u32,
    /// When this node last sent.
    sent: Duration,
}

/// The action for which a timer has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimerAction {
    /// Send.
    Send,
    /// Do not send: enough others have sent the same.
    Suppress,
}

impl Trickle {
    /// Returns a timer whose first interval, the shortest, begins at `elapsed`. `chance` is a random number from 0 to 1.
    pub(crate) fn new((shortest, longest): (Duration, Duration), elapsed: Duration, chance: f64) -> Self {
        let mut trickle = Self {
            shortest,
            longest,
            length: shortest,
            end: elapsed,
            send_at: None,
            heard: 0,
            sent: elapsed,
        };
        trickle.begin(elapsed, chance);
        trickle
    }

    fn begin(&mut self, elapsed: Duration, chance: f64) {
        self.send_at = Some(elapsed + self.length.mul_f64(0.5 + 0.5 * chance));
        self.end = elapsed + self.length;
        self.heard = 0;
    }

    /// Starts the shortest interval, because something differs. A timer in its shortest interval goes on.
    pub(crate) fn reset(&mut self, elapsed: Duration, chance: f64) {
        if self.length > self.shortest {
            self.length = self.shortest;
            self.begin(elapsed, chance);
        }
    }

    /// Notes that another node sent what this node would send.
    pub(crate) fn heard_the_same(&mut self) {
        self.heard += 1;
    }

    /// Returns the time of the next call to [`Self::take_due`].
    pub(crate) fn next(&self) -> Duration {
        self.send_at.unwrap_or(self.end)
    }

    /// Returns the action that is due at `elapsed`. A node is suppressed for no longer than `patience`: otherwise a liar
    /// who repeats what all nodes send could silence a network for ever.
    pub(crate) fn take_due(
        &mut self,
        elapsed: Duration,
        patience: Duration,
        chance: f64,
    ) -> Option<TimerAction> {
        if self.send_at.is_some_and(|at| at <= elapsed) {
            self.send_at = None;
            return Some(self.send_or_suppress(elapsed, patience));
        }
        if self.send_at.is_none() && self.end <= elapsed {
            self.length = (self.length * 2).min(self.longest);
            self.begin(elapsed, chance);
        }
        None
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

    /// Returns when it sent, up to `until`.
    fn sent(trickle: &mut Trickle, until: Duration, same: bool) -> Vec<Duration> {
        let mut times = Vec::new();
        while trickle.next() <= until {
            let at = trickle.next();
            if trickle.take_due(at, SECOND * 9, 0.0) == Some(TimerAction::Send) {
                times.push(at);
            } else if same {
                trickle.heard_the_same();
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
        assert_eq!(trickle.next(), SECOND * 29, "it is as short as it can be");
    }

    #[test]
    fn whoever_hears_the_same_keeps_silent_but_not_for_ever() {
        let mut trickle = Trickle::new((SECOND, SECOND), Duration::ZERO, 0.0);
        let times = sent(&mut trickle, SECOND * 100, true);
        // The first comes before anything was heard.
        assert_eq!(times.len(), 1 + 99 / 9);
    }
}
