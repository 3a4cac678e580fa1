//! A state that changes only when a value was beyond a limit for a while.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

/// Where a value is, in relation to a limit and to its second limit on the good side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// The limit is exceeded.
    Beyond,
    /// The value is between the two limits.
    Between,
    /// The value is on the good side of both limits.
    Back,
}

/// Times for which a value must stay on a side before the state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Time beyond the limit after which the state is on.
    pub raise: Duration,
    /// Time on the good side after which the state is off.
    pub clear: Duration,
}

/// A state with hysteresis. It is off at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hysteresis {
    is_on: bool,
    /// Time since which all values ask for the other state; `None` if the last one did not.
    since: Option<Duration>,
}

impl Hysteresis {
    /// Returns whether the state is on.
    pub const fn is_on(&self) -> bool {
        self.is_on
    }

    /// Takes the position of a new value.
    pub fn step(&mut self, position: Position, now: Duration, times: Times) {
        let (asking, wait) = match self.is_on {
            true => (Position::Back, times.clear),
            false => (Position::Beyond, times.raise),
        };
        if position != asking {
            self.since = None;
            return;
        }
        // A time that goes backwards begins the wait anew.
        let since = self.since.map_or(now, |since| since.min(now));
        self.since = Some(since);
        if now - since >= wait {
            (self.is_on, self.since) = (!self.is_on, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIMES: Times = Times { raise: Duration::from_secs(10), clear: Duration::from_secs(30) };

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_state_waits_before_it_changes() {
        let mut state = Hysteresis::default();
        let mut step = |position, seconds| {
            state.step(position, at(seconds), TIMES);
            state.is_on()
        };
        assert!(!step(Position::Beyond, 0) && !step(Position::Beyond, 9));
        assert!(!step(Position::Between, 10), "the wait begins anew");
        assert!(!step(Position::Beyond, 11) && step(Position::Beyond, 21));
        assert!(step(Position::Back, 30) && step(Position::Between, 50) && step(Position::Back, 61));
        assert!(step(Position::Back, 90) && !step(Position::Back, 91));
    }

    #[test]
    fn without_a_wait_the_first_value_counts() {
        let mut state = Hysteresis::default();
        state.step(Position::Beyond, at(0), Times { raise: Duration::ZERO, ..TIMES });
        assert!(state.is_on());
    }

    fn any_position() -> impl Strategy<Value = Position> {
        prop_oneof![Just(Position::Beyond), Just(Position::Between), Just(Position::Back)]
    }

    /// Generates values with the time that passed before each.
    fn any_steps() -> impl Strategy<Value = Vec<(u64, Position)>> {
        // Some values repeat, so that states do change.
        let step = (1..20_u64, any_position(), 1..6_usize);
        let repeated = |(passed, position, times)| vec![(passed, position); times];
        proptest::collection::vec(step, 1..60)
            .prop_map(move |steps| steps.into_iter().flat_map(repeated).collect())
    }

    proptest! {
        /// The law from which all others follow: a state changes exactly when all values of the whole wait asked for
        /// it.
        #[test]
        fn a_state_changes_exactly_when_all_values_of_the_wait_asked_for_it(
            steps in any_steps(), raise in 0..60_u64, clear in 0..60_u64,
        ) {
            let times = Times { raise: at(raise), clear: at(clear) };
            let (mut state, mut now, mut past) = (Hysteresis::default(), 0, Vec::new());
            for (passed, position) in steps {
                now += passed;
                let before = state.is_on();
                past.push((now, position));
                state.step(position, at(now), times);
                let (asking, wait) = if before { (Position::Back, clear) } else { (Position::Beyond, raise) };
                let run = past.iter().rev().take_while(|(_, position)| *position == asking);
                let is_due = run.last().is_some_and(|(first, _)| now - first >= wait);
                prop_assert_eq!(state.is_on() != before, is_due);
                if state.is_on() != before {
                    past.clear();
                }
            }
        }

        #[test]
        fn a_state_does_not_flap(steps in any_steps(), raise in 1..60_u64, clear in 1..60_u64) {
            let times = Times { raise: at(raise), clear: at(clear) };
            let (mut state, mut now, mut changed) = (Hysteresis::default(), 0, None);
            for (passed, position) in steps {
                now += passed;
                let before = state.is_on();
                state.step(position, at(now), times);
                if state.is_on() != before {
                    let wait = if state.is_on() { raise } else { clear };
                    prop_assert!(changed.is_none_or(|changed| now - changed >= wait), "changed after less than the wait");
                    changed = Some(now);
                }
            }
        }

        #[test]
        fn no_wrong_state_stays(steps in any_steps(), jump_back in any::<bool>()) {
            for (last, expected) in [(Position::Beyond, true), (Position::Back, false)] {
                let (mut state, mut now) = (Hysteresis::default(), 0);
                for (passed, position) in &steps {
                    now += passed;
                    state.step(*position, at(now), TIMES);
                }
                now = if jump_back { 0 } else { now };
                for _ in 0..=30 {
                    now += 1;
                    state.step(last, at(now), TIMES);
                }
                prop_assert_eq!(state.is_on(), expected);
            }
        }
    }
}
