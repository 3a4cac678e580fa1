//! The present time, as far as the caller knows it.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::{MAX_TIME, Moment, Time};

/// The present time, as far as the caller knows it. Many robots have no battery clock, and start in the past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Now {
    /// The present time. Metadata that has not expired by it is fresh.
    Known(Time),
    /// A time that has passed; the present time is not known. Metadata that expired before it is refused. Other
    /// metadata may have expired as well, so it permits only targets that are newer than the installed ones (see
    /// [`Target::may_replace`](crate::Target::may_replace)).
    AtLeast(Time),
}

/// Whether metadata was checked against the present time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// The present time is known, and the metadata has not expired.
    Fresh,
    /// The present time is not known, so a mirror may be hiding newer metadata.
    Unknown,
}

impl Now {
    /// Returns the latest time that is known to have passed.
    pub fn passed(self) -> Time {
        let (Self::Known(time) | Self::AtLeast(time)) = self;
        time
    }

    /// Returns what a check against this time proves.
    pub fn freshness(self) -> Freshness {
        match self {
            Self::Known(_) => Freshness::Fresh,
            Self::AtLeast(_) => Freshness::Unknown,
        }
    }
}

/// Without a time, only the beginning of 1970 is known to have passed.
impl From<Option<Time>> for Now {
    fn from(time: Option<Time>) -> Self {
        time.map_or(Self::AtLeast(Time(0)), Self::Known)
    }
}

/// An uncertain moment is a floor.
impl From<&Moment> for Now {
    fn from(moment: &Moment) -> Self {
        if moment.is_certain { Self::Known(moment.time) } else { Self::AtLeast(moment.time) }
    }
}

/// Converts to the type of the libraries. [`MAX_TIME`] is far beyond the year 9999, at which that type ends.
pub(crate) fn to_timestamp(time: Time) -> jiff::Timestamp {
    let seconds = i64::try_from(time.min(MAX_TIME).0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX)
}

/// Converts from the type of the libraries. A time before 1970 becomes the beginning of 1970.
pub(crate) fn from_timestamp(timestamp: jiff::Timestamp) -> Time {
    Time(u64::try_from(timestamp.as_second()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_uncertain_moment_is_a_floor() {
        let moment = Moment::certain(Time(7));
        assert_eq!(Now::from(&moment), Now::Known(Time(7)));
        assert_eq!(Now::from(&Moment { is_certain: false, ..moment }), Now::AtLeast(Time(7)));
        assert_eq!(Now::from(None), Now::AtLeast(Time(0)));
        assert_eq!(
            (Now::from(Some(Time(7))).passed(), Now::from(None).freshness()),
            (Time(7), Freshness::Unknown)
        );
    }

    #[test]
    fn every_time_can_be_converted() {
        assert_eq!(from_timestamp(to_timestamp(Time(1_800_000_000))), Time(1_800_000_000));
        assert_eq!(to_timestamp(MAX_TIME), jiff::Timestamp::MAX);
        assert_eq!(to_timestamp(Time(u64::MAX)), jiff::Timestamp::MAX);
        assert_eq!(from_timestamp(jiff::Timestamp::MIN), Time(0));
    }
}
