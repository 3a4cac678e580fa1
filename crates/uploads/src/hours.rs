//! Hours of the day with a rate of their own.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use transfers::{Limit, LimitError};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Hours of each day, by the local time of the robot, and the rate of uploads in them: `08:00-16:00 500kB`,
/// `20:00-06:00 none`, or `08:00-12:00 off`. An end before the begin is on the next day.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    from: Minute,
    until: Minute,
    rate: Rate,
}

/// The rate of uploads at a time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rate {
    /// Nothing is uploaded.
    Off,
    /// Uploads have this limit.
    UpTo(Limit),
}

/// A minute of the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Minute(u16);

/// Reason why a text does not name hours and a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    /// The text has another form.
    #[error(
        "{0:?} names no hours and rate; examples are `08:00-16:00 500kB`, `20:00-06:00 none` and `08:00-12:00 off`"
    )]
    Form(String),
    /// The rate is wrong.
    #[error("the rate of {text:?} is wrong")]
    Rate {
        /// The whole text.
        text: String,
        /// Reason why the rate is wrong.
        #[source]
        source: LimitError,
    },
}

impl Minute {
    /// Creates the minute of a time of day.
    pub(crate) fn of(hour: u8, minute: u8) -> Option<Self> {
        (hour < 24 && minute < 60).then(|| Self(u16::from(hour) * 60 + u16::from(minute)))
    }

    fn parse(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let is_number = |text: &str| text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = |text: &str| is_number(text).then(|| text.parse().ok()).flatten();
        Self::of(number(hour)?, number(minute)?)
    }
}

impl fmt::Display for Minute {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Hours {
    /// Returns whether a minute of the day is in these hours.
    fn contains(&self, minute: Minute) -> bool {
        let after = |minute: Minute| (minute.0 + DAY - self.from.0) % DAY;
        let length = match after(self.until) {
            0 => DAY,
            length => length,
        };
        after(minute) < length
    }

    /// Returns the rate of uploads in these hours.
    pub(crate) fn rate(&self) -> Rate {
        self.rate
    }

    /// Shows the hours without the rate.
    pub(crate) fn span(&self) -> String {
        format!("{}-{}", self.from, self.until)
    }
}

/// Returns the first of the hours that contain this minute.
pub(crate) fn at(hours: &[Hours], minute: Minute) -> Option<&Hours> {
    hours.iter().find(|hours| hours.contains(minute))
}

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let form = || HoursError::Form(text.to_owned());
        let (span, rate) = text.trim().split_once(' ').ok_or_else(form)?;
        let (from, until) = span.split_once('-').ok_or_else(form)?;
        let rate = match rate.trim() {
            "off" => Rate::Off,
            "default" => return Err(form()),
            rate => {
                let wrong = |source| HoursError::Rate { text: text.to_owned(), source };
                Rate::UpTo(rate.parse().map_err(wrong)?)
            }
        };
        let minute = |text| Minute::parse(text).ok_or_else(form);
        Ok(Self { from: minute(from)?, until: minute(until)?, rate })
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.rate {
            Rate::Off => write!(formatter, "{} off", self.span()),
            Rate::UpTo(limit) => write!(formatter, "{} {limit}", self.span()),
        }
    }
}

impl TryFrom<String> for Hours {
    type Error = HoursError;

    fn try_from(text: String) -> Result<Self, HoursError> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(text: &str) -> Hours {
        text.parse().unwrap()
    }

    /// Returns the number of minutes of a day in the hours.
    fn minutes(hours: &Hours) -> usize {
        (0..DAY).filter(|minute| hours.contains(Minute(*minute))).count()
    }

    #[test]
    fn hours_are_read_as_written() {
        for text in ["08:00-16:00 500kB", "20:00-06:00 none", "08:30-12:00 off", "00:00-00:00 2MB"] {
            assert_eq!(hours(text).to_string(), text);
        }
        for wrong in [
            "",
            "08:00-16:00",
            "8-16 off",
            "08:00-24:00 off",
            "08:60-09:00 off",
            "+8:00-09:00 off",
            "08:00 off",
            "08:00-16:00 default",
            "08:00-16:00 5",
            "08:00-16:00 fast",
        ] {
            assert!(wrong.parse::<Hours>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn hours_may_pass_midnight_or_be_the_whole_day() {
        assert_eq!(minutes(&hours("08:00-16:00 off")), 8 * 60);
        assert_eq!(minutes(&hours("20:00-06:00 off")), 10 * 60);
        assert_eq!(minutes(&hours("06:00-06:00 off")), 24 * 60);
        let night = hours("20:00-06:00 off");
        let is_in = |hour, minute| night.contains(Minute::of(hour, minute).unwrap());
        assert!(is_in(20, 0) && is_in(23, 59) && is_in(0, 0) && is_in(5, 59));
        assert!(!is_in(6, 0) && !is_in(19, 59));
    }

    #[test]
    fn the_first_hours_count_where_several_contain_the_minute() {
        let list = [hours("12:00-13:00 none"), hours("08:00-16:00 off")];
        let at = |hour| at(&list, Minute::of(hour, 0).unwrap()).map(Hours::to_string);
        assert_eq!(at(12).as_deref(), Some("12:00-13:00 none"));
        assert_eq!(at(13).as_deref(), Some("08:00-16:00 off"));
        assert_eq!(at(16), None);
    }
}
