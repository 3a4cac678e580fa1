//! Samples: what a robot measured about itself at one moment.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::metrics::{HostMetric, Label, Series};
use std::fmt;
use std::time::Duration;

/// Maximum number of readings in a sample. A robot with a dozen sensors, four interfaces and a battery has about 80.
pub const MAX_READINGS: usize = 128;

/// ID of a boot. The kernel draws it at random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId([u8; Self::BYTES]);

impl BootId {
    /// Size of the ID in bytes.
    pub const BYTES: usize = 16;

    /// Returns the ID with these bytes.
    pub const fn new(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Reads the text of `/proc/sys/kernel/random/boot_id`: 32 hex digits, and hyphens.
    pub fn parse(text: &str) -> Option<Self> {
        let mut digits = text.trim().chars().filter(|char| *char != '-').map(|char| char.to_digit(16));
        let mut bytes = [0; Self::BYTES];
        for byte in &mut bytes {
            let (high, low) = (digits.next()??, digits.next()??);
            *byte = u8::try_from(high << 4 | low).ok()?;
        }
        digits.next().is_none().then_some(Self(bytes))
    }

    /// Returns the bytes of the ID.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootId({self})")
    }
}

/// A moment of a robot whose clock may be wrong: the boot, and the time since then, which no clock setting changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// ID of the boot.
    pub boot: BootId,
    /// Milliseconds since the boot.
    pub millis: u64,
}

impl Stamp {
    /// Returns the time since the boot.
    pub const fn uptime(&self) -> Duration {
        Duration::from_millis(self.millis)
    }
}

/// A value of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The thing and quantity that was measured.
    pub series: Series,
    /// The value, in the unit of the metric. It is a finite number.
    pub value: f64,
}

/// The readings of one moment, at most one for each series, ordered by series. There are at most [`MAX_READINGS`], all
/// of finite values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Readings {
    list: Vec<Reading>,
    omitted: u64,
}

impl Readings {
    /// Adds the value of a metric that has only one series.
    pub fn add(&mut self, metric: &'static HostMetric, value: f64) {
        self.put(Series { metric, label: Label::none() }, value);
    }

    /// Adds the value of a metric for the thing called `label`.
    pub fn add_for(&mut self, metric: &'static HostMetric, label: &str, value: f64) {
        self.put(Series { metric, label: Label::new(label) }, value);
    }

    /// Adds a value, or replaces the one of the same series. A value that is not a finite number is left out. When
    /// there are too many readings, the last series is left out.
    pub fn put(&mut self, series: Series, value: f64) {
        if !value.is_finite() {
            self.omitted = self.omitted.saturating_add(1);
            return;
        }
        match self.place(&series) {
            Ok(known) => {
                if let Some(reading) = self.list.get_mut(known) {
                    reading.value = value;
                }
            }
            Err(place) => {
                self.list.insert(place, Reading { series, value });
                if self.list.len() > MAX_READINGS {
                    self.list.pop();
                    self.omitted = self.omitted.saturating_add(1);
                }
            }
        }
    }

    /// Notes that this number of values was left out before.
    pub fn omit(&mut self, number: u64) {
        self.omitted = self.omitted.saturating_add(number);
    }

    /// Returns the number of values that were left out.
    pub const fn omitted(&self) -> u64 {
        self.omitted
    }

    /// Returns the value of a series.
    pub fn get(&self, series: &Series) -> Option<f64> {
        let place = self.place(series).ok()?;
        self.list.get(place).map(|reading| reading.value)
    }

    /// Returns the value of a metric that has only one series.
    pub fn value(&self, metric: &'static HostMetric) -> Option<f64> {
        self.get(&Series { metric, label: Label::none() })
    }

    /// Returns the readings of a metric, ordered by label.
    pub fn of(&self, metric: &'static HostMetric) -> impl Iterator<Item = &Reading> {
        let first = self.list.partition_point(|reading| reading.series.metric < metric);
        self.list.iter().skip(first).take_while(move |reading| reading.series.metric == metric)
    }

    /// Returns all readings, ordered by series.
    pub fn iter(&self) -> impl Iterator<Item = &Reading> {
        self.list.iter()
    }

    /// Returns the number of readings.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Returns whether there are no readings.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn place(&self, series: &Series) -> Result<usize, usize> {
        self.list.binary_search_by(|reading| reading.series.cmp(series))
    }
}

/// The readings of a robot at one moment, or of one minute or hour.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The moment; for a minute or an hour, its end.
    pub stamp: Stamp,
    /// Number of the sample. Later samples of a robot have higher numbers, also after a boot.
    pub sequence: u64,
    /// Values of all series.
    pub readings: Readings,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{ALL, CUSTOM, TEMPERATURE, UPTIME};
    use proptest::prelude::*;

    #[test]
    fn a_boot_id_is_read() {
        let id = BootId::parse("0d3ad5b4-a5e4-4d9c-b7b9-2f6e6a6f7c11\n").unwrap();
        assert_eq!(id.to_string(), "0d3ad5b4a5e44d9cb7b92f6e6a6f7c11");
        for wrong in ["", "0d3ad5b4", "0d3ad5b4-a5e4-4d9c-b7b9-2f6e6a6f7c1g", &"0".repeat(33), "é"] {
            assert_eq!(BootId::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn values_that_are_no_finite_numbers_are_left_out_and_counted() {
        let mut readings = Readings::default();
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 7.0] {
            readings.add(&UPTIME, value);
        }
        assert_eq!((readings.len(), readings.value(&UPTIME), readings.omitted()), (1, Some(7.0), 3));
    }

    #[test]
    fn of_too_many_readings_the_custom_ones_are_left_out() {
        let mut readings = Readings::default();
        for number in 0..MAX_READINGS {
            readings.add_for(&CUSTOM, &format!("{number:03}"), 1.0);
        }
        readings.add_for(&TEMPERATURE, "cpu", 50.0);
        assert_eq!((readings.len(), readings.omitted()), (MAX_READINGS, 1));
        assert_eq!(readings.of(&TEMPERATURE).count(), 1);
        assert_eq!(readings.of(&CUSTOM).count(), MAX_READINGS - 1);
    }

    proptest! {
        #[test]
        fn readings_are_ordered_unique_and_bounded(
            added in proptest::collection::vec((0..ALL.len(), "[a-e]{0,3}", any::<f64>()), 0..400),
        ) {
            let mut readings = Readings::default();
            for (row, label, value) in &added {
                readings.add_for(ALL[*row], label, *value);
            }
            let list: Vec<&Reading> = readings.iter().collect();
            prop_assert!(list.len() <= MAX_READINGS);
            prop_assert!(list.windows(2).all(|pair| pair[0].series < pair[1].series));
            prop_assert!(list.iter().all(|reading| reading.value.is_finite()));
            prop_assert!(list.iter().all(|reading| readings.get(&reading.series) == Some(reading.value)));
        }
    }
}
