//! The payloads of envelopes: the message formats of IPSD. Unknown keys are an error here.

use dcache::{Pattern, PatternError, Statement, StatementError, Validity};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Maximum number of patterns in one request. The programs of this project use at most five.
pub const MAX_PATTERNS: usize = 8;

/// A parsed payload.
#[derive(Clone, Debug)]
pub enum Message {
    /// `propose` or `dismiss`: a statement, which becomes a record once a signature of the envelope is verified.
    Statement(Statement),
    /// `req`: asks for every live record whose bucket matches, followed by a pong.
    Request {
        /// Glob patterns that match `/bucket/path`.
        patterns: PatternTexts,
        /// Period in which an answer is useful.
        validity: Validity,
    },
    /// `ping`: asks whether the receiver is alive.
    Ping {
        /// Period in which an answer is useful.
        validity: Validity,
    },
    /// `pong`: answers a `ping`, and ends the answer to a `req`.
    Pong {
        /// Period in which the pong is useful.
        validity: Validity,
    },
    /// `command`: an order. Commands that arrive over a channel are never obeyed.
    Command {
        /// Name of the command.
        command: String,
    },
    /// `signature`: the separate signature message of the original implementation, which proves nothing. It is parsed
    /// and counted, but ignored.
    Signature,
}

/// The patterns of a request, not parsed yet: a node that sends no records does not need them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PatternTexts(Vec<String>);

impl PatternTexts {
    /// Parses the patterns.
    ///
    /// # Errors
    /// When there are too many patterns, or one of them is not a valid glob.
    pub fn read(&self) -> Result<Vec<Pattern>, MessageError> {
        if self.0.len() > MAX_PATTERNS {
            return Err(MessageError::Patterns(self.0.len()));
        }
        Ok(self.0.iter().map(|text| Pattern::new(text)).collect::<Result<_, _>>()?)
    }
}

/// Error for a payload that is not a valid message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// Not a JSON object with an `mtype`, or not in the format of its `mtype`.
    #[error("not a message: {0}")]
    Shape(String),
    /// An invalid proposal or dismissal.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A request with an invalid pattern.
    #[error("invalid pattern: {0}")]
    Pattern(#[from] PatternError),
    /// A request with too many patterns.
    #[error("a request has at most {MAX_PATTERNS} patterns, not {0}")]
    Patterns(usize),
}

impl From<serde_json::Error> for MessageError {
    fn from(error: serde_json::Error) -> Self {
        Self::Shape(error.to_string())
    }
}

/// Only the key that determines the format of the rest.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    mtype: Cow<'a, str>,
}

/// The common format of `ping` and `pong`. The formats of records are parsed in `dcache`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    mtype: String,
    validity: Validity,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    mtype: String,
    patterns: PatternTexts,
    validity: Validity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are the shape; what is not obeyed is not read")]
struct Command {
    mtype: String,
    command: String,
    parameters: IgnoredAny,
    validity: Validity,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the fields are the shape; what is ignored is not read")]
struct Vouching {
    mtype: String,
    data: String,
    signer: String,
    signature: String,
}

impl Message {
    /// Parses a payload. The limit of the line bounds its length, and for records `dcache` has a lower limit.
    ///
    /// # Errors
    /// When the payload has no format of IPSD, or a part exceeds its limits.
    pub fn parse(payload: &str) -> Result<Self, MessageError> {
        // Nearly all payloads are records whose text begins with this key, so there is no need to search for it first.
        if [r#"{"mtype":"propose","#, r#"{"mtype":"dismiss","#].iter().any(|begin| payload.starts_with(begin))
        {
            return Ok(Self::Statement(Statement::parse(payload)?));
        }
        let Kind { mtype } = serde_json::from_str(payload)?;
        match mtype.as_ref() {
            "propose" | "dismiss" => Ok(Self::Statement(Statement::parse(payload)?)),
            "req" => {
                let Request { patterns, validity, .. } = serde_json::from_str(payload)?;
                Ok(Self::Request { patterns, validity })
            }
            "ping" => Ok(Self::Ping { validity: serde_json::from_str::<Plain>(payload)?.validity }),
            "pong" => Ok(Self::Pong { validity: serde_json::from_str::<Plain>(payload)?.validity }),
            "command" => Ok(Self::Command { command: serde_json::from_str::<Command>(payload)?.command }),
            "signature" => {
                serde_json::from_str::<Vouching>(payload).map(|_| Self::Signature).map_err(Into::into)
            }
            other => Err(MessageError::Shape(format!("unknown mtype {:?}", truncated(other)))),
        }
    }

    /// Returns the text of a `ping` that is useful for `validity`.
    pub fn ping(validity: Validity) -> String {
        plain("ping", validity)
    }

    /// Returns the text of a `pong` that is useful for `validity`.
    pub fn pong(validity: Validity) -> String {
        plain("pong", validity)
    }

    /// Returns the text of a `req` for buckets that match one of `patterns`.
    pub fn req(patterns: &[&str], validity: Validity) -> String {
        let patterns = PatternTexts(patterns.iter().map(|&pattern| pattern.to_owned()).collect());
        text(&Request { mtype: "req".to_owned(), patterns, validity })
    }
}

fn plain(mtype: &str, validity: Validity) -> String {
    text(&Plain { mtype: mtype.to_owned(), validity })
}

#[expect(clippy::expect_used, reason = "structs of texts and numbers always have a JSON form")]
fn text(shape: &impl Serialize) -> String {
    serde_json::to_string(shape).expect("a struct of texts and numbers has a JSON form")
}

/// Returns the beginning of a remote text, short enough for an error message.
fn truncated(text: &str) -> String {
    text.chars().take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use dcache::Time;

    const VALIDITY: &str = r#""validity":[10,null]"#;

    fn validity() -> Validity {
        Validity::new(Some(Time(10)), None).unwrap()
    }

    #[test]
    fn writes_and_reads_each_shape() {
        assert_eq!(Message::ping(validity()), format!(r#"{{"mtype":"ping",{VALIDITY}}}"#));
        assert!(matches!(Message::parse(&Message::ping(validity())), Ok(Message::Ping { .. })));
        assert!(matches!(Message::parse(&Message::pong(validity())), Ok(Message::Pong { .. })));
        let req = Message::req(&["*/summaries"], validity());
        assert_eq!(req, format!(r#"{{"mtype":"req","patterns":["*/summaries"],{VALIDITY}}}"#));
        assert!(
            matches!(Message::parse(&req), Ok(Message::Request { patterns, .. }) if patterns.read().unwrap().len() == 1)
        );
        let propose = format!(r#"{{"mtype":"propose","bucket":["a"],"data":"b",{VALIDITY}}}"#);
        assert!(matches!(Message::parse(&propose), Ok(Message::Statement(_))));
        let command = format!(r#"{{"mtype":"command","command":"quit","parameters":{{}},{VALIDITY}}}"#);
        assert!(matches!(Message::parse(&command), Ok(Message::Command { command }) if command == "quit"));
        let vouching = r#"{"mtype":"signature","data":"a","signer":"b","signature":"c"}"#;
        assert!(matches!(Message::parse(vouching), Ok(Message::Signature)));
    }

    #[test]
    fn messages_unknown_to_ipsd_are_an_error() {
        for wrong in [
            "null".to_owned(),
            r#"{"mtype":"hello"}"#.to_owned(),
            format!(r#"{{"mtype":"ping","extra":1,{VALIDITY}}}"#),
            r#"{"mtype":"ping"}"#.to_owned(),
            format!(r#"{{"mtype":"ping","x":{}{}}}"#, "[".repeat(5000), "]".repeat(5000)),
        ] {
            assert!(Message::parse(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn patterns_are_read_only_when_asked_for() {
        let many = vec!["*"; MAX_PATTERNS + 1];
        for wrong in [Message::req(&["["], validity()), Message::req(&many, validity())] {
            let Ok(Message::Request { patterns, .. }) = Message::parse(&wrong) else { panic!("{wrong}") };
            assert!(patterns.read().is_err(), "{wrong}");
        }
    }
}
