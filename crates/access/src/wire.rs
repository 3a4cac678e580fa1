//! The first messages of a stream: the port that a peer asks for, and the answer. After an answer that accepts, the
//! stream carries the bytes of the port. Each message is one line of JSON.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde::{Deserialize, Serialize};
use std::num::NonZeroU16;

/// Name of the protocol, with its version.
pub const PROTOCOL: &str = "/dt-swarm/forward/1.0.0";
/// Maximum length of a message in bytes, without its line end.
pub const MAX_MESSAGE_BYTES: usize = 256;

/// The first message of a stream. Unknown fields are ignored, so that later versions can add some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// The TCP port to reach.
    pub port: NonZeroU16,
}

/// The answer to an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The port is connected. Its bytes follow.
    Accepted {},
    /// The port is not connected, and the stream ends.
    Refused {
        /// Reason of the refusal.
        reason: RefusalCode,
    },
}

/// Reason of a refusal, as the asking peer learns it. A peer without permission does not learn more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "&'static str")]
pub enum RefusalCode {
    /// The peer may not reach the port.
    NotAllowed,
    /// The peer may reach the port, but no program listens there.
    NothingListens,
    /// Too many streams are open.
    TooMany,
    /// A reason that this version does not know.
    Unknown,
}

impl RefusalCode {
    /// Returns the name of the reason, for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotAllowed => "not_allowed",
            Self::NothingListens => "nothing_listens",
            Self::TooMany => "too_many",
            Self::Unknown => "unknown",
        }
    }
}

impl From<String> for RefusalCode {
    fn from(name: String) -> Self {
        let known = [Self::NotAllowed, Self::NothingListens, Self::TooMany];
        known.into_iter().find(|code| code.name() == name).unwrap_or(Self::Unknown)
    }
}

impl From<RefusalCode> for &'static str {
    fn from(code: RefusalCode) -> Self {
        code.name()
    }
}

/// Reason why a message cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The message is too long.
    #[error("a message is longer than {MAX_MESSAGE_BYTES} bytes")]
    TooLong,
    /// The message is not valid.
    #[error("not a message of this protocol: {0}")]
    Invalid(#[from] serde_json::Error),
}

/// Encodes a message as one line, with its line end.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    // The messages of this module consist of numbers and texts, so they always have a JSON form.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Decodes a message from a line without its line end.
///
/// # Errors
/// When the line is too long or is no such message.
pub fn decode<'a, M: Deserialize<'a>>(line: &'a [u8]) -> Result<M, WireError> {
    if line.len() > MAX_MESSAGE_BYTES {
        return Err(WireError::TooLong);
    }
    Ok(serde_json::from_slice(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_this_form() {
        let opening = Opening { port: NonZeroU16::new(22).unwrap() };
        assert_eq!(encode(&opening), b"{\"port\":22}\n");
        assert_eq!(encode(&Reply::Accepted {}), b"{\"accepted\":{}}\n");
        let refused = Reply::Refused { reason: RefusalCode::NotAllowed };
        assert_eq!(encode(&refused), b"{\"refused\":{\"reason\":\"not_allowed\"}}\n");
        assert_eq!(decode::<Reply>(b"{\"refused\":{\"reason\":\"not_allowed\"}}").unwrap(), refused);
    }

    #[test]
    fn later_versions_may_add_fields_and_reasons() {
        assert_eq!(decode::<Opening>(b"{\"port\":22,\"kind\":\"tcp\"}").unwrap().port.get(), 22);
        let unknown = decode::<Reply>(b"{\"refused\":{\"reason\":\"asleep\",\"until\":5}}").unwrap();
        assert_eq!(unknown, Reply::Refused { reason: RefusalCode::Unknown });
    }

    #[test]
    fn wrong_messages_are_refused() {
        for line in ["", "{}", "{\"port\":0}", "{\"port\":65536}", "{\"port\":-1}", "{\"port\":\"22\"}", "22"]
        {
            assert!(decode::<Opening>(line.as_bytes()).is_err(), "{line}");
        }
        let long = format!("{{\"port\":22,\"x\":\"{}\"}}", "y".repeat(MAX_MESSAGE_BYTES));
        assert!(matches!(decode::<Opening>(long.as_bytes()), Err(WireError::TooLong)));
    }
}
