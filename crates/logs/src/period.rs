//! A time after which something is done, in a human-readable notation.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Units by their names, in seconds. The largest one is first.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)];

/// Time such as `7d`, `12h`, `30min` or `90s`, or `off` for never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period(pub Option<u64>);

/// A text is not a time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time: it is a number with d, h, min or s, such as `7d`, or `off`")]
pub struct PeriodError(String);

impl FromStr for Period {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        if text == "off" {
            return Ok(Self(None));
        }
        let wrong = || PeriodError(text.chars().take(100).collect());
        let end = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(end);
        let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        number.checked_mul(*seconds).map(|seconds| Self(Some(seconds))).ok_or_else(wrong)
    }
}

impl fmt::Display for Period {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(seconds) = self.0 else { return to.write_str("off") };
        let whole = UNITS.iter().find(|(_, unit)| seconds > 0 && seconds % unit == 0);
        let (name, unit) = whole.unwrap_or(&("s", 1));
        write!(to, "{}{name}", seconds / unit)
    }
}

impl TryFrom<String> for Period {
    type Error = PeriodError;

    fn try_from(text: String) -> Result<Self, PeriodError> {
        text.parse()
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_reads_back_as_written() {
        for (text, seconds) in [
            ("7d", Some(604_800)),
            ("36h", Some(129_600)),
            ("5min", Some(300)),
            ("0s", Some(0)),
            ("off", None),
        ] {
            assert_eq!(text.parse(), Ok(Period(seconds)), "{text}");
            assert_eq!(Period(seconds).to_string(), text);
        }
        for text in ["", "7", "d", "7w", "-7d", "7.5d", "7 d", "99999999999999999d", "OFF"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
