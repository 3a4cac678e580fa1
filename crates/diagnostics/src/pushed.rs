//! Values that local programs push over the control socket.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::collect::text_file::{MAX_SERIES, name_of, own_names, parse};
use crate::metrics::{CUSTOM, Label, Series};
use crate::sample::Readings;
use std::collections::BTreeMap;
use std::time::Duration;

/// Time after which pushed values are forgotten, unless their program pushes again. A program that pushes once a minute may
/// miss several times.
pub(crate) const PUSHED_FOR: Duration = Duration::from_secs(300);
/// Maximum number of programs.
pub(crate) const MAX_PROGRAMS: usize = 16;

/// The last values of each program.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pushed(BTreeMap<Label, Values>);

#[derive(Clone, Debug)]
struct Values {
    /// Time since the boot at which they came.
    at: Duration,
    values: Vec<(Label, f64)>,
}

/// The result of a push.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// Number of values that were taken.
    pub(crate) taken: u64,
    /// Number of lines that were refused: they are wrong, too many, or have the name of a metric of the robot.
    pub(crate) refused: u64,
}

impl Pushed {
    /// Takes the values of a program in place of its former ones. `text` has the format of Prometheus. All values are
    /// refused if there are too many programs.
    pub(crate) fn take(&mut self, program: &str, text: &str, now: Duration) -> Taken {
        self.forget(now);
        let (parsed, own, program) = (parse(text), own_names(), Label::new(program));
        let all = parsed.values.len() as u64;
        let is_room = self.0.len() < MAX_PROGRAMS || self.0.contains_key(&program);
        let is_good = |(label, value): &(Label, f64)| {
            is_room && value.is_finite() && !own.contains(name_of(label.as_str()))
        };
        let values: Vec<(Label, f64)> = parsed.values.into_iter().filter(is_good).collect();
        let taken = values.len() as u64;
        if is_room {
            self.0.insert(program, Values { at: now, values });
        }
        Taken { taken, refused: parsed.refused + all - taken }
    }

    /// Adds the values of all programs, at most [`MAX_SERIES`].
    pub(crate) fn add_to(&mut self, readings: &mut Readings, now: Duration) {
        self.forget(now);
        let values: Vec<&(Label, f64)> = self.0.values().flat_map(|program| &program.values).collect();
        readings.omit(values.len().saturating_sub(MAX_SERIES) as u64);
        for (label, value) in values.into_iter().take(MAX_SERIES) {
            readings.put(Series { metric: &CUSTOM, label: label.clone() }, *value);
        }
    }

    fn forget(&mut self, now: Duration) {
        self.0.retain(|_, program| program.at <= now && now - program.at < PUSHED_FOR);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn names(pushed: &mut Pushed, now: Duration) -> Vec<String> {
        let mut readings = Readings::default();
        pushed.add_to(&mut readings, now);
        readings.iter().map(|reading| reading.series.label.as_str().to_owned()).collect()
    }

    #[test]
    fn the_last_values_of_each_program_count_for_a_while() {
        let mut pushed = Pushed::default();
        let text = "a 1\nb 2\nwrong\nc NaN\nsystem_uptime_seconds 7\n";
        assert_eq!(pushed.take("one", text, seconds(0)), Taken { taken: 2, refused: 3 });
        assert_eq!(pushed.take("two", "x 1\n", seconds(200)), Taken { taken: 1, refused: 0 });
        assert_eq!(names(&mut pushed, seconds(200)), ["a", "b", "x"]);
        pushed.take("two", "y 1\n", seconds(201));
        assert_eq!(names(&mut pushed, seconds(299)), ["a", "b", "y"]);
        assert_eq!(names(&mut pushed, seconds(300)), ["y"], "the values of the first program are old");
    }

    #[test]
    fn programs_and_values_are_bounded() {
        let mut pushed = Pushed::default();
        for program in 0..MAX_PROGRAMS {
            let text: String = (0..MAX_SERIES).map(|number| format!("p{program}_{number} 1\n")).collect();
            assert_eq!(pushed.take(&program.to_string(), &text, seconds(1)).taken, MAX_SERIES as u64);
        }
        assert_eq!(pushed.take("another", "a 1\n", seconds(1)), Taken { taken: 0, refused: 1 });
        assert_eq!(names(&mut pushed, seconds(1)).len(), MAX_SERIES);
        assert_eq!(pushed.take("another", "a 1\n", seconds(400)).taken, 1, "the others are forgotten");
    }
}
