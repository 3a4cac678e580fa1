//! The ID of a history, and the numbers of its rows.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Greatest number of a row. It is exact in every JSON reader.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Error for a text that is not the ID of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ID of a history is 16 hexadecimal digits in lower case")]
pub struct NotAHistoryId;

/// Identifies the history of a robot. A history that begins again, with row 1, has another ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HistoryId([u8; Self::BYTES]);

impl HistoryId {
    /// Size of the ID in bytes.
    pub const BYTES: usize = 8;

    /// Returns the ID with these bytes. The bytes of a new history must be random.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes of the ID.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Display for HistoryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl From<HistoryId> for String {
    fn from(id: HistoryId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for HistoryId {
    type Error = NotAHistoryId;

    fn try_from(text: String) -> Result<Self, NotAHistoryId> {
        text.parse()
    }
}

impl FromStr for HistoryId {
    type Err = NotAHistoryId;

    fn from_str(text: &str) -> Result<Self, NotAHistoryId> {
        let id = u64::from_str_radix(text, 16).map(|id| Self(id.to_be_bytes())).map_err(|_| NotAHistoryId)?;
        if id.to_string() == text { Ok(id) } else { Err(NotAHistoryId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_text_names_a_history() {
        let id = HistoryId::from_bytes([0, 1, 2, 3, 4, 5, 6, 0xff]);
        assert_eq!((id.to_string().as_str(), id.to_string().parse()), ("00010203040506ff", Ok(id)));
        for wrong in [
            "",
            "00010203040506f",
            "00010203040506fff",
            "00010203040506FF",
            "+0010203040506ff",
            " 0010203040506ff",
        ] {
            assert_eq!(wrong.parse::<HistoryId>(), Err(NotAHistoryId), "{wrong}");
        }
    }
}
