//! The levels of health.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde::{Deserialize, Serialize};
use std::fmt;

/// A level of health. The levels are ordered from good to bad: a robot that is silent is worse than one with a warning,
/// and a known error is worse than silence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing is wrong.
    #[default]
    Ok,
    /// Something is worse than it should be.
    Warn,
    /// There is no news.
    Stale,
    /// Something is wrong.
    Error,
}

impl Level {
    /// Returns the number of the level in `diagnostic_msgs/DiagnosticStatus` of ROS.
    pub const fn number(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Warn => 1,
            Self::Error => 2,
            Self::Stale => 3,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "OK",
            Self::Warn => "WARN",
            Self::Stale => "STALE",
            Self::Error => "ERROR",
        })
    }
}
