//! Rate limits in a human-readable notation, such as `500kB`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Minimum value of a rate limit, in bytes per second. At a lower rate, several peers that share the link would give up
/// waiting for blocks.
pub const LEAST_RATE: u64 = 10_000;

/// Rate limit for one direction: `2MB`, `500kB` or `16Mbit` (all per second), `none`, or `default` for the value in the
/// configuration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Limit {
    /// The value in the configuration.
    #[default]
    Default,
    /// No limit on the rate.
    None,
    /// Maximum bytes per second, at least [`LEAST_RATE`].
    Rate(u64),
}

/// Reason why a text is not a valid limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// The text is not a rate, `none` or `default`.
    #[error(
        "a rate is a number with B, kB, MB, GB, kbit, Mbit or Gbit (per second), or `none`, or `default`"
    )]
    Shape,
    /// The rate is below [`LEAST_RATE`].
    #[error("a limit is at least {} kB per second", LEAST_RATE / 1000)]
    Low,
}

/// Names of units, with the number of bits in each.
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
        // A float beyond the range of `u64` becomes the largest `u64`.
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

/// Writes the exact value, so that parsing the text gives the same limit.
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

/// Limits for each direction, for peers on this host's own networks (LAN) and for all other peers (WAN).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Limit for traffic to peers on this host's networks.
    pub lan_up: Limit,
    /// Limit for traffic from peers on this host's networks.
    pub lan_down: Limit,
    /// Limit for traffic to all other peers.
    pub wan_up: Limit,
    /// Limit for traffic from all other peers.
    pub wan_down: Limit,
}

impl Limits {
    /// Returns these limits, with each `default` replaced by the value in `others`.
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
    fn the_usual_notations_of_rates_are_read() {
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
    fn a_text_that_is_not_a_rate_is_refused_and_so_is_a_rate_that_is_too_low() {
        for text in ["", "fast", "1 furlong", "-1MB", "1e9x", "..", "MB"] {
            assert_eq!(text.parse::<Limit>(), Err(LimitError::Shape), "{text}");
        }
        for text in ["0", "9999", "8kbit"] {
            assert_eq!(text.parse::<Limit>(), Err(LimitError::Low), "{text}");
        }
    }

    #[test]
    fn a_printed_limit_is_parsed_to_the_same_limit() {
        for rate in [10_000, 12_345, 1_500_000, 2_000_000, 1_000_000_000] {
            let limit = Limit::Rate(rate);
            assert_eq!(limit.to_string().parse(), Ok(limit));
            let json = serde_json::to_string(&limit).unwrap();
            assert_eq!(serde_json::from_str::<Limit>(&json).unwrap(), limit);
        }
    }

    #[test]
    fn a_default_is_replaced_by_the_other_limits() {
        let configured = Limits { lan_up: Limit::Rate(20_000), wan_up: Limit::None, ..Limits::default() };
        let told = Limits { lan_up: Limit::None, ..Limits::default() };
        let now = told.or(configured);
        assert_eq!((now.lan_up, now.wan_up, now.wan_down), (Limit::None, Limit::None, Limit::Default));
    }
}
