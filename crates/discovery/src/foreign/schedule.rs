//! When the networks are asked for robots.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

/// Pauses after each question, in seconds. Several questions at the start find robots although datagrams get lost. Each
/// pause is longer, because robots that are known rarely change. The last pause repeats.
const PAUSES: [u64; 8] = [1, 2, 5, 15, 45, 90, 180, LAST_PAUSE];
/// The longest pause between two questions, in seconds.
pub(super) const LAST_PAUSE: u64 = 300;
/// Minimum time between two questions, when clients want fresh facts or networks change. RFC 6762 (section 5.2) demands
/// at least a second.
const AT_LEAST: Duration = Duration::from_secs(2);

/// The times of the questions. Times count from a fixed moment.
#[derive(Debug)]
pub(super) struct Schedule {
    next: Duration,
    last: Option<Duration>,
    asked: usize,
}

impl Schedule {
    /// Returns a schedule whose first question is due now.
    pub(super) fn new(now: Duration) -> Self {
        Self { next: now, last: None, asked: 0 }
    }

    /// Returns the time of the next question.
    pub(super) fn next(&self) -> Duration {
        self.next
    }

    /// Notes that a question was sent.
    pub(super) fn asked(&mut self, now: Duration) {
        let pause = PAUSES.get(self.asked).copied().unwrap_or(LAST_PAUSE);
        self.asked = self.asked.saturating_add(1);
        (self.last, self.next) = (Some(now), now + Duration::from_secs(pause));
    }

    /// Moves the next question forward, because a client wants fresh facts.
    pub(super) fn wanted(&mut self, now: Duration) {
        let soonest = self.last.map_or(now, |last| now.max(last + AT_LEAST));
        self.next = self.next.min(soonest);
    }

    /// Begins with short pauses again, because the networks have changed.
    pub(super) fn restart(&mut self, now: Duration) {
        self.asked = 0;
        self.wanted(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn questions_are_frequent_at_the_start_and_rare_later() {
        let mut schedule = Schedule::new(at(0));
        let times = (0..12).map(|_| {
            let next = schedule.next();
            schedule.asked(next);
            next.as_secs()
        });
        assert_eq!(times.collect::<Vec<_>>(), [0, 1, 3, 8, 23, 68, 158, 338, 638, 938, 1238, 1538]);
    }

    #[test]
    fn a_client_gets_a_fresh_answer_but_does_not_change_the_pauses() {
        let mut schedule = Schedule::new(at(0));
        (0..9).for_each(|_| schedule.asked(at(0)));
        schedule.wanted(at(1));
        assert_eq!(schedule.next(), AT_LEAST);
        schedule.wanted(at(100));
        assert_eq!(schedule.next(), AT_LEAST, "an earlier wish holds");
        schedule.asked(at(100));
        assert_eq!(schedule.next(), at(100 + LAST_PAUSE));
        schedule.restart(at(200));
        schedule.asked(at(200));
        assert_eq!(schedule.next(), at(201));
    }

    proptest! {
        #[test]
        fn wishes_never_cause_two_questions_within_the_minimum(steps in proptest::collection::vec(0u64..3000, 1..200)) {
            let (mut schedule, mut now, mut asked) = (Schedule::new(at(0)), Duration::ZERO, 0);
            for step in steps {
                now += Duration::from_millis(step);
                schedule.wanted(now);
                if schedule.next() <= now {
                    schedule.asked(now);
                    asked += 1;
                }
            }
            // The pauses of the start may be shorter.
            prop_assert!(asked <= 3 + now.as_secs() / AT_LEAST.as_secs());
        }
    }
}
