//! Wall time as the swarm writes it, and the interval for which a record speaks.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Whole seconds since the Unix epoch (UTC, leap seconds not counted).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// The moment `seconds` later; stops at the largest time instead of wrapping.
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Seconds from `earlier` to here; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A half-open interval of time, `[from, until)`; `None` is an open end. On the wire: `[from, until]` with null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "(Option<Time>, Option<Time>)", into = "(Option<Time>, Option<Time>)")]
pub struct Validity {
    from: Option<Time>,
    until: Option<Time>,
}

/// Why two ends make no validity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidityError {
    /// The interval would hold no moment at all.
    #[error("validity ends at {until}, not after its start at {from}")]
    Empty {
        /// The start asked for.
        from: Time,
        /// The end asked for.
        until: Time,
    },
}

impl Validity {
    /// All of time.
    pub const ALWAYS: Self = Self { from: None, until: None };

    /// The interval from `from` (inclusive) to `until` (exclusive).
    ///
    /// # Errors
    /// When it would be empty.
    pub fn new(from: Option<Time>, until: Option<Time>) -> Result<Self, ValidityError> {
        match (from, until) {
            (Some(from), Some(until)) if until <= from => Err(ValidityError::Empty { from, until }),
            _ => Ok(Self { from, until }),
        }
    }

    /// `seconds` from `from` on; at least one, so that it is never empty.
    pub fn starting(from: Time, seconds: u64) -> Self {
        Self { from: Some(from), until: Some(from.plus(seconds.max(1))) }
    }

    /// The first moment inside; `None` when it was always so.
    pub fn from(&self) -> Option<Time> {
        self.from
    }

    /// The first moment outside again; `None` when it never ends.
    pub fn until(&self) -> Option<Time> {
        self.until
    }

    /// Whether `time` lies inside.
    pub fn contains(&self, time: Time) -> bool {
        self.from.is_none_or(|from| from <= time) && !self.is_over(time)
    }

    /// Whether it has ended by `time`.
    pub fn is_over(&self, time: Time) -> bool {
        self.until.is_some_and(|until| until <= time)
    }

    /// Length in seconds; `None` when an end is open.
    pub fn seconds(&self) -> Option<u64> {
        Some(self.until?.since(self.from?))
    }
}

impl TryFrom<(Option<Time>, Option<Time>)> for Validity {
    type Error = ValidityError;
    fn try_from((from, until): (Option<Time>, Option<Time>)) -> Result<Self, Self::Error> {
        Self::new(from, until)
    }
}

impl From<Validity> for (Option<Time>, Option<Time>) {
    fn from(validity: Validity) -> Self {
        (validity.from, validity.until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_its_start_and_not_its_end() {
        let validity = Validity::new(Some(Time(10)), Some(Time(20))).unwrap();
        let inside: Vec<bool> = [9, 10, 19, 20].map(|t| validity.contains(Time(t))).into();
        assert_eq!(inside, [false, true, true, false]);
        assert!(Validity::ALWAYS.contains(Time(0)));
    }

    #[test]
    fn an_empty_or_backward_interval_is_refused() {
        assert!(Validity::new(Some(Time(20)), Some(Time(20))).is_err());
        assert!(serde_json::from_str::<Validity>("[20,10]").is_err());
        assert!(serde_json::from_str::<Validity>("[-1,10]").is_err());
        assert!(serde_json::from_str::<Validity>("[1.5,10]").is_err());
        assert_eq!(serde_json::from_str::<Validity>("[null,null]").unwrap(), Validity::ALWAYS);
    }
}
