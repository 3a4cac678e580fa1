//! Rates as people write them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The lowest limit, in bytes a second: below it, peers that share it would wait for blocks longer than anybody does.
pub const LEAST_RATE: u64 = 10_000;

/// What may pass in one direction: `2MB`, `500kB`, `16Mbit` (all of them in a second), `none`, or `default` for what the
/// configuration says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Limit {
    /// As the configuration says.
    #[default]
    Default,
    /// As much as there is.
    None,
    /// Bytes in a second, [`LEAST_RATE`] at least.
    Rate(u64),
}

/// Why a text is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// It is nothing of the kind.
    #[error("a rate is a number with B, kB, MB, GB, kbit, Mbit or Gbit (a second), or `none`, or `default`")]
    Shape,
    /// It is below [`LEAST_RATE`].
    #[error("a limit is at least {} kB a second", LEAST_RATE / 1000)]
    Low,
}

/// Units, and eighths of a byte.
const UNITS: [(&str, u64); 9] = [
    ("gbit", 1_000_000_000),
    ("mbit", 1_000_000),
    ("kbit", 1000),
    ("gb", 8_000_000_000),
    ("mb", 8_000_000),
    ("kb", 8000),
    ("b", 8),
    ("bytes", 8),
    ("", 8),
];

impl FromStr for Limit {
    type Err = LimitError;

    fn from_str(text: &str) -> Result<Self, LimitError> {
        let text = text.trim().to_ascii_lowercase();
        match text.as_str() {
            "default" => return Ok(Self::Default),
            "none" => return Ok(Self::None),
            _ => {}
        }
        let text = text.trim_end_matches("/s");
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (_, eighths) =
            UNITS.iter().find(|(name, _)| *name == unit.trim_start()).ok_or(LimitError::Shape)?;
        let number: f64 = number.parse().map_err(|_| LimitError::Shape)?;
        // A float beyond all numbers becomes the largest.
        match (number * *eighths as f64 / 8.0) as u64 {
            0..LEAST_RATE => Err(LimitError::Low),
            rate => Ok(Self::Rate(rate)),
        }
    }
}

impl TryFrom<String> for Limit {
    type Error = LimitError;

    fn try_from(text: String) -> Result<Self, LimitError> {
        text.parse()
    }
}

impl From<Limit> for String {
    fn from(limit: Limit) -> Self {
        limit.to_string()
    }
}

/// Exact, and read back the same.
impl fmt::Display for Limit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::None => formatter.write_str("none"),
            Self::Rate(rate) if rate % 1_000_000 == 0 => write!(formatter, "{}MB", rate / 1_000_000),
            Self::Rate(rate) if rate % 1000 == 0 => write!(formatter, "{}kB", rate / 1000),
            Self::Rate(rate) => write!(formatter, "{rate}B"),
        }
    }
}

/// A limit for each direction, to those on this host's own networks (LAN) and to all others (WAN).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// What goes to those on its own networks.
    pub lan_up: Limit,
    /// What comes from them.
    pub lan_down: Limit,
    /// What goes to all others.
    pub wan_up: Limit,
    /// What comes from them.
    pub wan_down: Limit,
}

impl Limits {
    /// These, and where they say `default`, the others.
    #[must_use]
    pub fn or(self, others: Self) -> Self {
        let or = |limit, other| if limit == Limit::Default { other } else { limit };
        Self {
            lan_up: or(self.lan_up, others.lan_up),
            lan_down: or(self.lan_down, others.lan_down),
            wan_up: or(self.wan_up, others.wan_up),
            wan_down: or(self.wan_down, others.wan_down),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, rate) in [
            ("20000", 20_000),
            ("500kB", 500_000),
            ("1.5 MB/s", 1_500_000),
            ("16Mbit", 2_000_000),
            ("8 mbps", 1_000_000),
            ("1GB", 1_000_000_000),
        ] {
            let expected = if text == "8 mbps" { Err(LimitError::Shape) } else { Ok(Limit::Rate(rate)) };
            assert_eq!(text.parse::<Limit>(), expected, "{text}");
        }
        assert_eq!("none".parse(), Ok(Limit::None));
        assert_eq!("Default".parse(), Ok(Limit::Default));
    }

    #[test]
    fn what_is_no_rate_or_too_low_is_refused() {
        for text in ["", "fast", "1 furlong", "-1MB", "1e9x", "..", "MB"] {
            assert_eq!(text.parse::<Limit>(), Err(LimitError::Shape), "{text}");
        }
        for text in ["0", "9999", "8kbit"] {
            assert_eq!(text.parse::<Limit>(), Err(LimitError::Low), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for rate in [10_000, 12_345, 1_500_000, 2_000_000, 1_000_000_000] {
            let limit = Limit::Rate(rate);
            assert_eq!(limit.to_string().parse(), Ok(limit));
            let json = serde_json::to_string(&limit).unwrap();
            assert_eq!(serde_json::from_str::<Limit>(&json).unwrap(), limit);
        }
    }

    #[test]
    fn the_default_is_what_others_say() {
        let configured = Limits { lan_up: Limit::Rate(20_000), wan_up: Limit::None, ..Limits::default() };
        let told = Limits { lan_up: Limit::None, ..Limits::default() };
        let now = told.or(configured);
        assert_eq!((now.lan_up, now.wan_up, now.wan_down), (Limit::None, Limit::None, Limit::Default));
    }
}
