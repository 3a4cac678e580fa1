//! Trickle (RFC 6206): when to say what others may be saying as well.
//!
//! An interval doubles while everybody agrees, up to a longest. In its second half, at a random moment, a node speaks,
//! unless it heard enough others say the same in this interval. Disagreement makes the interval short again. So what is
//! said on a network does not grow with the number of nodes on it.

use std::time::Duration;

/// How many others that say the same make a node keep silent (the redundancy constant `k` of RFC 6206).
const ENOUGH: u32 = 1;

/// One network's timer.
#[derive(Clone, Debug)]
pub(crate) struct Trickle {
    shortest: Duration,
    longest: Duration,
    length: Duration,
    end: Duration,
    /// When to speak in this interval, if that is still to come.
    turn: Option<Duration>,
    heard: u32,
    /// When it last spoke.
    spoke: Duration,
}

/// What a turn comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Speak.
    Speak,
    /// Others said it.
    Suppressed,
}

impl Trickle {
    /// A timer whose first, shortest interval begins at `elapsed`. `chance` is random, from 0 to 1.
    pub(crate) fn new((shortest, longest): (Duration, Duration), elapsed: Duration, chance: f64) -> Self {
        let mut trickle =
            Self { shortest, longest, length: shortest, end: elapsed, turn: None, heard: 0, spoke: elapsed };
        trickle.begin(elapsed, chance);
        trickle
    }

    fn begin(&mut self, elapsed: Duration, chance: f64) {
        self.turn = Some(elapsed + self.length.mul_f64(0.5 + 0.5 * chance));
        self.end = elapsed + self.length;
        self.heard = 0;
    }

    /// Something differs: back to the shortest interval, unless it is that already.
    pub(crate) fn reset(&mut self, elapsed: Duration, chance: f64) {
        if self.length > self.shortest {
            self.length = self.shortest;
            self.begin(elapsed, chance);
        }
    }

    /// Somebody said what we would say.
    pub(crate) fn heard_the_same(&mut self) {
        self.heard += 1;
    }

    /// When something is due.
    pub(crate) fn next(&self) -> Duration {
        self.turn.unwrap_or(self.end)
    }

    /// What is due at `elapsed`. For longer than `patience` no node keeps silent because of others: whoever says the same as
    /// everybody without having it could otherwise keep a network silent for ever.
    pub(crate) fn take_due(&mut self, elapsed: Duration, patience: Duration, chance: f64) -> Option<Turn> {
        if self.turn.is_some_and(|turn| turn <= elapsed) {
            self.turn = None;
            return Some(self.speak_or_not(elapsed, patience));
        }
        if self.turn.is_none() && self.end <= elapsed {
            self.length = (self.length * 2).min(self.longest);
            self.begin(elapsed, chance);
        }
        None
    }

    fn speak_or_not(&mut self, elapsed: Duration, patience: Duration) -> Turn {
        if self.heard < ENOUGH || self.spoke + patience <= elapsed {
            self.spoke = elapsed;
            Turn::Speak
        } else {
            Turn::Suppressed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// When it spoke, up to `until`.
    fn spoke(trickle: &mut Trickle, until: Duration, same: bool) -> Vec<Duration> {
        let mut turns = Vec::new();
        while trickle.next() <= until {
            let at = trickle.next();
            if trickle.take_due(at, SECOND * 9, 0.0) == Some(Turn::Speak) {
                turns.push(at);
            } else if same {
                trickle.heard_the_same();
            }
        }
        turns
    }

    #[test]
    fn intervals_double_up_to_the_longest() {
        let mut trickle = Trickle::new((SECOND * 2, SECOND * 8), Duration::ZERO, 0.0);
        let expected = [1, 4, 10, 18, 26].map(|second| SECOND * second);
        assert_eq!(spoke(&mut trickle, SECOND * 27, false), expected);
        trickle.reset(SECOND * 28, 0.0);
        assert_eq!(trickle.next(), SECOND * 29);
        trickle.reset(SECOND * 28, 1.0);
        assert_eq!(trickle.next(), SECOND * 29, "it is as short as it can be");
    }

    #[test]
    fn whoever_hears_the_same_keeps_silent_but_not_for_ever() {
        let mut trickle = Trickle::new((SECOND, SECOND), Duration::ZERO, 0.0);
        let turns = spoke(&mut trickle, SECOND * 100, true);
        // The first comes before anything was heard.
        assert_eq!(turns.len(), 1 + 99 / 9);
    }
}
