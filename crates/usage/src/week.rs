//! Weeks of ISO 8601, which begin on Monday.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::Time;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Number of seconds in an hour.
pub(crate) const HOUR: u64 = 3600;
/// Number of seconds in a week.
#[cfg(test)]
pub(crate) const WEEK: u64 = 7 * DAY;
/// Number of seconds in a day.
const DAY: u64 = 24 * HOUR;
/// Days from the Monday of the first week to 1 January 1970, which was a Thursday.
const THURSDAY: u64 = 3;
/// The last week of the year 9999. Later times are in this week.
const LAST: u32 = 418_985;

/// A week. The week 0 contains 1 January 1970. Its text is that of ISO 8601, such as `2026-W49`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Week(u32);

/// Error for a text that is no week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a week is written like 2026-W49")]
pub struct NotAWeek;

impl Week {
    /// Returns the week that contains a time, in UTC.
    pub fn of(time: Time) -> Self {
        let number = (time.0 / DAY + THURSDAY) / 7;
        Self(u32::try_from(number).unwrap_or(LAST).min(LAST))
    }

    /// Returns the first second of the week.
    pub fn begin(self) -> Time {
        Time((u64::from(self.0) * 7).saturating_sub(THURSDAY) * DAY)
    }

    /// Returns the first second after the week.
    pub fn end(self) -> Time {
        Time((u64::from(self.0) * 7 + 7 - THURSDAY) * DAY)
    }

    /// Returns the number of weeks by which this week is after another one; 0 if it is not.
    pub fn since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }

    /// Returns the week this many weeks before.
    #[cfg(test)]
    pub(crate) fn before(self, weeks: u32) -> Self {
        Self(self.0.saturating_sub(weeks))
    }

    /// Returns the hour of the week, from 0 to 167, that contains a time of it.
    pub(crate) fn hour(self, time: Time) -> u8 {
        // In the first week, which begins on Thursday, the hours are counted from there.
        u8::try_from((time.since(self.begin()) / HOUR).min(167)).unwrap_or(167)
    }

    /// Returns the number for the key of a table.
    pub(crate) fn number(self) -> u64 {
        u64::from(self.0)
    }

    /// Returns the year, and the number of the week in this year.
    fn year_and_week(self) -> (u64, u64) {
        // The Thursday of a week decides to which year the week belongs. The Thursday of week 0 is day 0.
        let thursday = u64::from(self.0) * 7;
        let mut year = 1970 + thursday / 366;
        while first_day(year + 1) <= thursday {
            year += 1;
        }
        (year, (thursday - first_day(year)) / 7 + 1)
    }
}

/// Returns the number of days from 1 January 1970 to 1 January of a year.
const fn first_day(year: u64) -> u64 {
    let before = year - 1;
    // 477 of the years before 1970 were leap years.
    365 * (year - 1970) + (before / 4 - before / 100 + before / 400) - 477
}

impl fmt::Display for Week {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, week) = self.year_and_week();
        write!(f, "{year:04}-W{week:02}")
    }
}

impl FromStr for Week {
    type Err = NotAWeek;

    fn from_str(text: &str) -> Result<Self, NotAWeek> {
        let (year, week) = text.split_once("-W").ok_or(NotAWeek)?;
        let (year, week): (u64, u64) =
            (year.parse().map_err(|_| NotAWeek)?, week.parse().map_err(|_| NotAWeek)?);
        if !(1970..=9999).contains(&year) || !(1..=53).contains(&week) {
            return Err(NotAWeek);
        }
        let number = first_day(year).div_ceil(7) + week - 1;
        let read = Self(u32::try_from(number).map_err(|_| NotAWeek)?);
        // Only the canonical spelling is accepted, and no 53rd week in a year with 52.
        Some(read).filter(|read| read.0 <= LAST && read.to_string() == text).ok_or(NotAWeek)
    }
}

impl TryFrom<String> for Week {
    type Error = NotAWeek;

    fn try_from(text: String) -> Result<Self, NotAWeek> {
        text.parse()
    }
}

impl From<Week> for String {
    fn from(week: Week) -> Self {
        week.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn weeks_have_the_names_of_iso_8601() {
        for (time, name) in [
            (0, "1970-W01"),
            (1_796_050_800, "2026-W49"),
            (1_798_761_600, "2026-W53"),
            (1_798_675_200 + 4 * DAY, "2027-W01"),
        ] {
            assert_eq!(Week::of(Time(time)).to_string(), name, "{time}");
        }
        assert_eq!(Week(LAST).to_string(), "9999-W52");
        assert_eq!(Week::of(Time(u64::MAX)), Week(LAST));
        for wrong in [
            "",
            "2026",
            "2026-W",
            "2026-W0",
            "2026-W00",
            "2026-W54",
            "2027-W53",
            "2026-W+9",
            "02026-W49",
            "1969-W01",
        ] {
            assert_eq!(wrong.parse::<Week>(), Err(NotAWeek), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn the_names_are_those_of_a_calendar(time in 0u64..253_370_764_800) {
            let week = Week::of(Time(time));
            let date = jiff::Timestamp::from_second(time as i64).unwrap().to_zoned(jiff::tz::TimeZone::UTC).date();
            let iso = date.iso_week_date();
            prop_assert_eq!(week.to_string(), format!("{:04}-W{:02}", iso.year(), iso.week()));
            prop_assert_eq!(week.to_string().parse(), Ok(week));
            prop_assert!(week.begin() <= Time(time) && Time(time) < week.end());
            prop_assert!(week.hour(Time(time)) < 168);
        }
    }
}
