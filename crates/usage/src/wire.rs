//! The messages of a stream between a robot and a collector: one line of the robot, and one line of the collector.
//!
//! A robot sends `report PAYLOAD` or `forget SECRET PAYLOAD`, each with a line end. The collector answers with one line of JSON.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::hex::{Hex32, NotHex};
use crate::payload::{MAX_PAYLOAD_BYTES, Payload, PayloadError};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Name of the protocol, with its version.
pub const PROTOCOL: &str = "/dt-swarm/usage/1.0.0";
/// Maximum length of a line in bytes, without its line end: the word `forget`, a secret of 64 digits, a report, and two spaces.
pub const MAX_LINE_BYTES: usize = MAX_PAYLOAD_BYTES + 72;

/// A message of a robot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Count this report.
    Report(Payload),
    /// Delete this report, whose secret proves that it is the sender's own.
    Forget(Hex32, Payload),
}

/// The answer of a collector. Unknown fields are ignored, so that later versions can add some.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The report is counted, and that is on the disk.
    Counted {},
    /// The report is not counted any more, or never was.
    Forgotten {},
    /// Nothing was changed.
    Refused {
        /// Reason of the refusal.
        reason: RefusalCode,
    },
}

/// Reason of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "&'static str")]
pub enum RefusalCode {
    /// The asked peer is no collector, or denies the asker.
    NotHere,
    /// The message is not understood. A collector with an older version of dt-swarm does not understand new fields and values.
    NotUnderstood,
    /// The week is not over, or is over for too long.
    WrongWeek,
    /// The peer has reported about this week before, or asks too often.
    TooMany,
    /// The collector counts no more reports about this week.
    Full,
    /// The disk of the collector failed, or its clock is wrong.
    Later,
    /// The secret is not the one of the report.
    WrongSecret,
    /// A reason that this version does not know.
    Unknown,
}

/// Reason why a line is no message.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The line is too long.
    #[error("a message is longer than {MAX_LINE_BYTES} bytes")]
    TooLong,
    /// The line is no text.
    #[error("a message is not UTF-8")]
    NoText,
    /// The first word is not known.
    #[error("a message begins with `report` or `forget`")]
    Word,
    /// The report is wrong.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The secret is wrong.
    #[error(transparent)]
    Secret(#[from] NotHex),
    /// The answer is no JSON of an answer.
    #[error("not an answer of this protocol: {0}")]
    Reply(#[from] serde_json::Error),
}

impl RefusalCode {
    const KNOWN: [Self; 7] = [
        Self::NotHere,
        Self::NotUnderstood,
        Self::WrongWeek,
        Self::TooMany,
        Self::Full,
        Self::Later,
        Self::WrongSecret,
    ];

    /// Returns the name of the reason, for programs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotHere => "not_here",
            Self::NotUnderstood => "not_understood",
            Self::WrongWeek => "wrong_week",
            Self::TooMany => "too_many",
            Self::Full => "full",
            Self::Later => "later",
            Self::WrongSecret => "wrong_secret",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotHere => "it does not collect statistics of this robot",
            Self::NotUnderstood => {
                "it does not understand the report; it may run an older version of dt-swarm"
            }
            Self::WrongWeek => "it does not take reports about this week now; its clock may be wrong",
            Self::TooMany => "this robot has reported about this week before",
            Self::Full => "it has counted as many reports as it can",
            Self::Later => "it cannot count now; its disk may be full or its clock wrong",
            Self::WrongSecret => "it does not accept the proof that the report is of this robot",
            Self::Unknown => "it has a reason that this version does not know",
        })
    }
}

impl From<String> for RefusalCode {
    fn from(name: String) -> Self {
        Self::KNOWN.into_iter().find(|code| code.name() == name).unwrap_or(Self::Unknown)
    }
}

impl From<RefusalCode> for &'static str {
    fn from(code: RefusalCode) -> Self {
        code.name()
    }
}

impl Message {
    /// Encodes the message as one line, with its line end.
    pub fn encode(&self) -> Vec<u8> {
        let line = match self {
            Self::Report(payload) => format!("report {payload}\n"),
            Self::Forget(secret, payload) => format!("forget {secret} {payload}\n"),
        };
        line.into_bytes()
    }

    /// Decodes a message from a line without its line end.
    ///
    /// # Errors
    /// When the line is no message.
    pub fn decode(line: &[u8]) -> Result<Self, WireError> {
        if line.len() > MAX_LINE_BYTES {
            return Err(WireError::TooLong);
        }
        let text = std::str::from_utf8(line).map_err(|_| WireError::NoText)?;
        match text.split_once(' ') {
            Some(("report", payload)) => Ok(Self::Report(payload.parse()?)),
            Some(("forget", rest)) => {
                let (secret, payload) = rest.split_once(' ').ok_or(WireError::Word)?;
                Ok(Self::Forget(secret.parse()?, payload.parse()?))
            }
            Some(_) | None => Err(WireError::Word),
        }
    }
}

impl Reply {
    /// Encodes the answer as one line, with its line end.
    pub fn encode(&self) -> Vec<u8> {
        // An answer consists of known words, so it always has a JSON form.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line
    }

    /// Decodes an answer from a line without its line end.
    ///
    /// # Errors
    /// When the line is no answer.
    pub fn decode(line: &[u8]) -> Result<Self, WireError> {
        if line.len() > MAX_LINE_BYTES { Err(WireError::TooLong) } else { Ok(serde_json::from_slice(line)?) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::payload::tests::any_report;
    use proptest::prelude::*;

    #[test]
    fn answers_have_this_form() {
        assert_eq!(Reply::Counted {}.encode(), b"{\"counted\":{}}\n");
        for code in RefusalCode::KNOWN {
            let reply = Reply::Refused { reason: code };
            let line = reply.encode();
            assert_eq!(Reply::decode(line.trim_ascii_end()).unwrap(), reply);
        }
        let unknown = Reply::decode(b"{\"refused\":{\"reason\":\"asleep\",\"until\":5}}").unwrap();
        assert_eq!(unknown, Reply::Refused { reason: RefusalCode::Unknown });
        assert!(matches!(Reply::decode(&[b'['; 2000]), Err(WireError::TooLong)));
    }

    #[test]
    fn other_lines_are_no_messages() {
        for line in ["", "report", "report ", "forget x", "forget  {}", "REPORT {}", "say hello"] {
            assert!(Message::decode(line.as_bytes()).is_err(), "{line}");
        }
        assert!(matches!(Message::decode(b"report \xff"), Err(WireError::NoText)));
        assert!(matches!(Message::decode(&[b'a'; 5000]), Err(WireError::TooLong)));
    }

    proptest! {
        #[test]
        fn messages_read_back_as_written((report, secret) in any_report()) {
            for message in [Message::Report(report.clone()), Message::Forget(secret, report)] {
                let line = message.encode();
                prop_assert!(line.len() <= MAX_LINE_BYTES + 1);
                prop_assert_eq!(Message::decode(&line[..line.len() - 1]).unwrap(), message);
            }
        }
    }
}
