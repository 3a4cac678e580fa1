//! Wall time as the swarm writes it, and the interval for which a record speaks.

mod date;
mod leeway;

pub use leeway::CLOCK_LEEWAY;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The largest time in a record: far beyond need, and exact in every JSON reader.
pub const MAX_TIME: Time = Time(1 << 40);

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

/// When something ends: at a time, or never, which is later than every time.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct End(u64);

impl End {
    /// No end.
    pub const NEVER: Self = Self(u64::MAX);

    /// The end at `time`.
    pub const fn at(time: Time) -> Self {
        Self(time.0)
    }

    /// When; `None` for never.
    pub fn time(self) -> Option<Time> {
        (self != Self::NEVER).then_some(Time(self.0))
    }

    /// As 8 bytes, big-endian; all bits set for never.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    /// What [`End::to_bytes`] gave.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }

    /// Whether it has come by `time`.
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

/// A half-open interval of time, `[from, until)`; `None` is an open end. On the wire: `[from, until]` with null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "(Option<Time>, Option<Time>)", into = "(Option<Time>, Option<Time>)")]
pub struct Validity {
    /// [`ALWAYS_SO`] when it is open. Half the size of an `Option`, and there is one in every record.
    from: Time,
    until: End,
}

/// Stands for an open start; no clock will ever show it.
const ALWAYS_SO: Time = Time(u64::MAX);

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
    /// A time that no clock will show.
    #[error("{0} is a time beyond {MAX_TIME} s")]
    Late(Time),
}

impl Validity {
    /// All of time.
    pub const ALWAYS: Self = Self { from: ALWAYS_SO, until: End::NEVER };

    /// The interval from `from` (inclusive) to `until` (exclusive).
    ///
    /// # Errors
    /// When it would be empty, or a time is beyond [`MAX_TIME`].
    pub fn new(from: Option<Time>, until: Option<Time>) -> Result<Self, ValidityError> {
        if let Some(late) = from.into_iter().chain(until).find(|time| *time > MAX_TIME) {
            return Err(ValidityError::Late(late));
        }
        match (from, until) {
            (Some(from), Some(until)) if until <= from => Err(ValidityError::Empty { from, until }),
            _ => Ok(Self { from: from.unwrap_or(ALWAYS_SO), until: until.into() }),
        }
    }

    /// `seconds` from `from` on; at least one, so that it is never empty.
    pub fn starting(from: Time, seconds: u64) -> Self {
        Self { from, until: End::at(from.plus(seconds.max(1))) }
    }

    /// The first moment inside; `None` when it was always so.
    pub fn from(&self) -> Option<Time> {
        (self.from != ALWAYS_SO).then_some(self.from)
    }

    /// The first moment outside again; `None` when it never ends.
    pub fn until(&self) -> Option<Time> {
        self.until.time()
    }

    /// [`Validity::until`] as an end.
    pub fn end(&self) -> End {
        self.until
    }

    /// Whether `time` lies inside.
    pub fn contains(&self, time: Time) -> bool {
        self.from().is_none_or(|from| from <= time) && !self.is_over(time)
    }

    /// Whether it has ended by `time`.
    pub fn is_over(&self, time: Time) -> bool {
        self.until.is_over(time)
    }

    /// Length in seconds; `None` when an end is open.
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
        // What stands for open ends inside means nothing outside.
        for late in [MAX_TIME.0 + 1, u64::MAX] {
            assert!(serde_json::from_str::<Validity>(&format!("[{late},null]")).is_err());
            assert!(serde_json::from_str::<Validity>(&format!("[null,{late}]")).is_err());
        }
    }
}
