//! The messages of a stream on which a robot tells another one its metrics. Each is one line of JSON: the question, and then
//! the answer.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::protocol::{Points, Value};
use serde::{Deserialize, Serialize};

/// Name of the protocol, with its version.
pub const PROTOCOL: &str = "/dt-swarm/metrics/1.0.0";
/// Maximum size of a question in bytes, without its line end.
pub const MAX_QUESTION_BYTES: usize = 512;
/// Maximum size of an answer in bytes, without its line end.
pub const MAX_REPLY_BYTES: usize = service::MAX_ANSWER_BYTES;

/// The question of a peer. Unknown fields are ignored, so that later versions can add some.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Asks for the present values.
    Values {},
    /// Asks for a part of the history of one metric.
    Points {
        /// Name of the metric.
        metric: String,
        /// Seconds before now at which the history begins.
        seconds: u64,
        /// Number of the last row that the peer has; absent for the first part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<u64>,
    },
}

/// The answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// The present values.
    Values {
        /// The values, ordered by metric and thing.
        values: Vec<Value>,
    },
    /// A part of a history.
    Points(Points),
    /// The robot does not answer this question.
    Refused {
        /// The reason, such as `not_allowed`.
        reason: Reason,
    },
}

/// Reason of a refusal, as the peer learns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The peer may not read the metrics of this robot.
    NotAllowed,
    /// Too many questions are being answered.
    Busy,
    /// The robot keeps no history, or has not read it yet.
    NoHistory,
    /// The disk of the robot failed.
    Failed,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Error of a message that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// The message does not end within its maximum size.
    #[error("the message is too long")]
    TooLong,
    /// The message has another form.
    #[error("the message cannot be read: {0}")]
    Form(#[from] serde_json::Error),
}

/// Returns a message with its line end.
pub fn encode(message: &impl Serialize) -> Vec<u8> {
    // The types of this module have a JSON form.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Reads a question without its line end.
///
/// # Errors
/// Returns an error if it is too long or has another form.
pub fn read_question(line: &[u8]) -> Result<Question, WireError> {
    if line.len() > MAX_QUESTION_BYTES {
        return Err(WireError::TooLong);
    }
    Ok(serde_json::from_slice(line)?)
}

/// Reads an answer without its line end.
///
/// # Errors
/// Returns an error if it is too long or has another form.
pub fn read_reply(line: &[u8]) -> Result<Reply, WireError> {
    if line.len() > MAX_REPLY_BYTES {
        return Err(WireError::TooLong);
    }
    Ok(serde_json::from_slice(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_back_as_written() {
        for question in [
            Question::Values {},
            Question::Points { metric: "hw.temperature".to_owned(), seconds: 7200, after: None },
            Question::Points { metric: "a".to_owned(), seconds: u64::MAX, after: Some(3) },
        ] {
            let line = encode(&question);
            assert_eq!(read_question(line.strip_suffix(b"\n").unwrap()).unwrap(), question);
        }
        let reply = Reply::Refused { reason: Reason::Busy };
        assert_eq!(read_reply(encode(&reply).strip_suffix(b"\n").unwrap()).unwrap(), reply);
        let later = br#"{"refused": {"reason": "asleep", "until": 7}}"#;
        assert_eq!(read_reply(later).unwrap(), Reply::Refused { reason: Reason::Unknown });
    }

    #[test]
    fn long_and_other_messages_are_refused() {
        let long = Question::Points { metric: "x".repeat(MAX_QUESTION_BYTES), seconds: 1, after: None };
        assert!(matches!(read_question(&encode(&long)), Err(WireError::TooLong)));
        for wrong in [&b""[..], b"{}", b"[]", b"{\"values\":7}", b"\xff"] {
            assert!(read_question(wrong).is_err() && read_reply(wrong).is_err());
        }
        assert!(matches!(read_reply(&vec![b' '; MAX_REPLY_BYTES + 1]), Err(WireError::TooLong)));
    }
}
