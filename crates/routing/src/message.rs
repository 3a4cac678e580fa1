//! What a payload says: the message shapes of IPSD. Unknown keys are an error here.

use dcache::{Pattern, PatternError, Statement, StatementError, Validity};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// The most patterns in one request. Those of this project's programs have five at most.
pub const MAX_PATTERNS: usize = 8;

/// A payload, read.
#[derive(Clone, Debug)]
pub enum Message {
    /// `propose` or `dismiss`: a record, once a signature of the envelope fits.
    Statement(Statement),
    /// `req`: every live record whose bucket matches, please, then a pong.
    Request {
        /// Globs over `/bucket/path`.
        patterns: PatternTexts,
        /// When an answer is of use.
        validity: Validity,
    },
    /// `ping`: are you there?
    Ping {
        /// When an answer is of use.
        validity: Validity,
    },
    /// `pong`: I am; also the end of the answer to a `req`.
    Pong {
        /// When this is of use.
        validity: Validity,
    },
    /// `command`: an order. None is obeyed that comes over a channel.
    Command {
        /// Its name.
        command: String,
    },
    /// `signature`: the original's separate vouching message, which proves nothing. Read, counted, ignored.
    Signature,
}

/// The patterns of a request, not looked at yet: where no records follow, nobody needs them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PatternTexts(Vec<String>);

impl PatternTexts {
    /// Reads the patterns.
    ///
    /// # Errors
    /// When they are too many, or one of them is no glob.
    pub fn read(&self) -> Result<Vec<Pattern>, MessageError> {
        if self.0.len() > MAX_PATTERNS {
            return Err(MessageError::Patterns(self.0.len()));
        }
        Ok(self.0.iter().map(|text| Pattern::new(text)).collect::<Result<_, _>>()?)
    }
}

/// Why a payload is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// No JSON object with an `mtype`, or not the shape that its `mtype` has.
    #[error("not a message: {0}")]
    Shape(String),
    /// A record that cannot be.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// A request whose patterns cannot be.
    #[error("pattern: {0}")]
    Pattern(#[from] PatternError),
    /// A request for too much at once.
    #[error("a request has at most {MAX_PATTERNS} patterns, not {0}")]
    Patterns(usize),
}

impl From<serde_json::Error> for MessageError {
    fn from(error: serde_json::Error) -> Self {
        Self::Shape(error.to_string())
    }
}

/// Only the key that says which shape the rest has.
#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    mtype: Cow<'a, str>,
}

/// The shapes but those of records, which `dcache` reads.
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
    /// Reads a payload. Its length is bounded by the line's and, for records, by `dcache`.
    ///
    /// # Errors
    /// When it is of no shape that IPSD knows, or a part is out of its bounds.
    pub fn parse(payload: &str) -> Result<Self, MessageError> {
        // Nearly all are, and those who write them begin with this key: no need to look for it first.
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

    /// The text of a `ping` of use for `validity`.
    pub fn ping(validity: Validity) -> String {
        plain("ping", validity)
    }

    /// The text of a `pong` of use for `validity`.
    pub fn pong(validity: Validity) -> String {
        plain("pong", validity)
    }

    /// The text of a `req` for buckets that match one of `patterns`.
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

/// The beginning of a stranger's text, for an error that somebody will read.
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
    fn what_ipsd_does_not_know_is_an_error() {
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
