//! Time as written in records, and the interval during which a record holds.

mod date;
mod leeway;

pub use leeway::CLOCK_LEEWAY;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Latest time allowed in a record. It is later than any time in use, and exact in every JSON reader.
pub const MAX_TIME: Time = Time(1 << 40);

/// Number of whole seconds since the Unix epoch (UTC, without leap seconds).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// Returns the time `seconds` later; saturates instead of wrapping.
    pub const fn plus(self, seconds: u64) -> Self {
        Self(self.0.saturating_add(seconds))
    }

    /// Returns the number of seconds since `earlier`, or zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The end of something: a time or never. Never is later than every time.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct End(u64);

impl End {
    /// An end that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Returns the end at `time`.
    pub const fn at(time: Time) -> Self {
        Self(time.0)
    }

    /// Returns the time of the end, or `None` for never.
    pub fn time(self) -> Option<Time> {
        (self != Self::NEVER).then_some(Time(self.0))
    }

    /// Returns the end as 8 bytes, big-endian; all bits are set for never.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// Reads an end from the bytes of [`End::to_bytes`].
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    /// Returns whether the end has come by `time`.
    pub fn is_over(self, time: Time) -> bool {
        self.time().is_some_and(|end| end <= time)
    }
}

impl From<Option<Time>> for End {
    fn from(time: Option<Time>) -> Self {
        time.map_or(Self::NEVER, Self::at)
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time() {
            Some(time) => write!(f, "End({time})"),
            None => write!(f, "End(never)"),
        }
    }
}

/// A half-open interval of time, `[from, until)`; `None` is an open end. On the wire it is `[from, until]`, with null
/// for an open end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(Option<Time>, Option<Time>)", into = "(Option<Time>, Option<Time>)")]
pub struct Validity {
    /// [`ALWAYS_SO`] if the start is open. This takes half the size of an `Option<Time>`, which matters because every
    /// record has a validity.
    from: Time,
    until: End,
}

/// Value that represents an open start. It is later than [`MAX_TIME`], so no record can contain it.
const ALWAYS_SO: Time = Time(u64::MAX);

/// Reason why two times are not a validity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValidityError {
    /// The interval would contain no time.
    #[error("validity ends at {until}, not after its start at {from}")]
    Empty {
        /// Start that was requested.
        from: Time,
        /// End that was requested.
        until: Time,
    },
    /// A time is later than [`MAX_TIME`].
    #[error("the time {0} is later than {MAX_TIME} s, the latest one allowed")]
    Late(Time),
}

impl Validity {
    /// The validity that contains all times.
    pub const ALWAYS: Self = Self { from: ALWAYS_SO, until: End::NEVER };

    /// Creates the interval from `from` (inclusive) to `until` (exclusive).
    ///
    /// # Errors
    /// Returns an error if the interval would be empty, or a time is later than [`MAX_TIME`].
    pub fn new(from: Option<Time>, until: Option<Time>) -> Result<Self, ValidityError> {
        if let Some(late) = from.into_iter().chain(until).find(|time| *time > MAX_TIME) {
            return Err(ValidityError::Late(late));
        }
        match (from, until) {
            (Some(from), Some(until)) if until <= from => Err(ValidityError::Empty { from, until }),
            _ => Ok(Self { from: from.unwrap_or(ALWAYS_SO), until: until.into() }),
        }
    }

    /// Creates the interval of `seconds` from `from`. It lasts at least one second, so that it is never empty.
    pub fn starting(from: Time, seconds: u64) -> Self {
        Self { from, until: End::at(from.plus(seconds.max(1))) }
    }

    /// Returns the first time inside the interval, or `None` for an open start.
    pub fn from(&self) -> Option<Time> {
        (self.from != ALWAYS_SO).then_some(self.from)
    }

    /// Returns the first time after the interval, or `None` for an open end.
    pub fn until(&self) -> Option<Time> {
        self.until.time()
    }

    /// Returns [`Validity::until`] as an [`End`].
    pub fn end(&self) -> End {
        self.until
    }

    /// Returns whether the interval contains `time`.
    pub fn contains(&self, time: Time) -> bool {
        self.from().is_none_or(|from| from <= time) && !self.is_over(time)
    }

    /// Returns whether the interval has ended by `time`.
    pub fn is_over(&self, time: Time) -> bool {
        self.until.is_over(time)
    }

    /// Returns the length in seconds, or `None` if an end is open.
    pub fn seconds(&self) -> Option<u64> {
        Some(self.until()?.since(self.from()?))
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
        (validity.from(), validity.until())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_validity_contains_its_start_and_not_its_end() {
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
        // The values that represent open ends internally are not allowed on the wire.
        for late in [MAX_TIME.0 + 1, u64::MAX] {
            assert!(serde_json::from_str::<Validity>(&format!("[{late},null]")).is_err());
            assert!(serde_json::from_str::<Validity>(&format!("[null,{late}]")).is_err());
        }
    }
}
