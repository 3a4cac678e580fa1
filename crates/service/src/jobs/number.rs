//! Job numbers, which identify the jobs of a service.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use store::TableKey;

/// Number of a job among those of its service. A new job gets the highest remembered number plus one, so the number of
/// a forgotten job can be used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobNumber(pub u64);

impl JobNumber {
    pub(crate) fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for JobNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for JobNumber {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl TableKey for JobNumber {
    fn to_text(&self) -> String {
        self.0.to_text()
    }

    fn from_text(text: &str) -> Option<Self> {
        u64::from_text(text).map(Self)
    }
}
