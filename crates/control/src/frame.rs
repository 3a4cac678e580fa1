//! Frames of the control socket: one JSON object per line in each direction.
//!
//! A request is `{"service": NAME, "request": ...}`. An answer is `{"answer": ...}` or `{"failure": {...}}`. The service's
//! [`Protocol`] defines the content of `request` and `answer`; this module does not parse it.

use crate::Failure;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Maximum size of a request in bytes, without its line end. The escaped text of a swarm file fits into it.
pub const MAX_REQUEST_BYTES: usize = 64 * 1024;
/// Maximum size of an answer in bytes, without its line end. A piece of a file in Base64 fits into it.
pub const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The requests and answers of one service.
pub trait Protocol {
    /// Name of the service in a request.
    const NAME: &'static str;
    /// Requests of clients.
    type Request: Serialize + DeserializeOwned + Send + 'static;
    /// Answers to requests that succeeded.
    type Answer: Serialize + DeserializeOwned + Send + 'static;
}

/// A request whose content has not been parsed yet.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestFrame {
    /// Name of the service that handles the request.
    pub service: String,
    /// The request, in JSON.
    pub request: Box<RawValue>,
}

/// An answer whose content has not been parsed yet.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerFrame {
    /// The request succeeded.
    Answer(Box<RawValue>),
    /// The request failed.
    Failure(Failure),
}

/// An answer of one service: an [`AnswerFrame`] whose content is parsed with it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ParsedFrame<A> {
    /// The request succeeded.
    Answer(A),
    /// The request failed.
    Failure(Failure),
}

/// The reason why a line is not a request.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The line exceeds [`MAX_REQUEST_BYTES`]. It is not parsed.
    #[error("a request has at most {MAX_REQUEST_BYTES} bytes, not {0}")]
    Length(usize),
    /// The line is not a JSON object with the two keys of a request.
    #[error("not a request: {0}")]
    Shape(#[source] serde_json::Error),
}

impl RequestFrame {
    /// Wraps a request to the service of `P`.
    pub fn of<P: Protocol>(request: &P::Request) -> Self {
        Self { service: P::NAME.to_owned(), request: raw(request) }
    }

    /// Parses one line, given without its line end.
    ///
    /// # Errors
    /// Returns an error if the line is too long, or is not a request in UTF-8 JSON.
    pub fn parse(line: &[u8]) -> Result<Self, FrameError> {
        if line.len() > MAX_REQUEST_BYTES {
            return Err(FrameError::Length(line.len()));
        }
        serde_json::from_slice(line).map_err(FrameError::Shape)
    }

    /// Returns the line, without its line end.
    pub fn encode(&self) -> String {
        line(self)
    }
}

impl AnswerFrame {
    /// Parses one line, given without its line end.
    ///
    /// # Errors
    /// Returns an error if the line is not an answer.
    pub fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }

    /// Returns the line, without its line end.
    pub fn encode(&self) -> String {
        line(self)
    }
}

impl<A: DeserializeOwned> ParsedFrame<A> {
    /// Parses one line, given without its line end.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(line)
    }
}

/// Returns the JSON text of `value`.
#[expect(
    clippy::expect_used,
    reason = "requests and answers are structs of texts and numbers, which always have a JSON form"
)]
pub fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("a JSON form")
}

/// Encodes a frame as one line. JSON escapes line ends inside texts. A raw value can also contain line ends between its
/// tokens; they are replaced by spaces.
#[expect(clippy::expect_used, reason = "a frame is a struct of texts, which always has a JSON form")]
fn line(frame: &impl Serialize) -> String {
    let text = serde_json::to_string(frame).expect("a JSON form");
    let has_line_end = text.as_bytes().contains(&b'\n') || text.as_bytes().contains(&b'\r');
    if has_line_end { text.replace(['\n', '\r'], " ") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FailureKind;
    use proptest::prelude::*;

    struct Echo;
    impl Protocol for Echo {
        const NAME: &'static str = "echo";
        type Request = Vec<String>;
        type Answer = Vec<String>;
    }

    #[test]
    fn a_frame_is_encoded_as_one_line_and_parsed_again() {
        let words = vec!["a\nb".to_owned(), "é\"".to_owned()];
        let text = RequestFrame::of::<Echo>(&words).encode();
        assert_eq!(text, r#"{"service":"echo","request":["a\nb","é\""]}"#);
        let read = RequestFrame::parse(text.as_bytes()).unwrap();
        assert_eq!(serde_json::from_str::<Vec<String>>(read.request.get()).unwrap(), words);
        let spread = RequestFrame::parse(b"{\"service\":\"echo\",\"request\":[\n\"a\"]}").unwrap();
        assert_eq!(spread.encode(), r#"{"service":"echo","request":[ "a"]}"#);
    }

    #[test]
    fn an_answer_and_a_failure_have_the_documented_shape() {
        assert_eq!(AnswerFrame::Answer(raw(&[1])).encode(), r#"{"answer":[1]}"#);
        let failure = AnswerFrame::Failure(Failure::new(FailureKind::NotAllowed, "no\nrole")).encode();
        assert_eq!(failure, r#"{"failure":{"kind":"not_allowed","message":"no\nrole"}}"#);
        assert!(matches!(AnswerFrame::parse(failure.as_bytes()), Ok(AnswerFrame::Failure(_))));
    }

    #[test]
    fn a_line_out_of_bounds_is_refused() {
        let long = vec![b' '; MAX_REQUEST_BYTES + 1];
        assert!(matches!(RequestFrame::parse(&long), Err(FrameError::Length(_))));
        for wrong in [
            r#"{"service":"a","request":1,"more":1}"#,
            r#"{"service":"a","service":"a","request":1}"#,
            r#"{"service":"a"}"#,
            r#"{"request":1}"#,
            "{}",
            "[]",
            "",
        ] {
            assert!(matches!(RequestFrame::parse(wrong.as_bytes()), Err(FrameError::Shape(_))), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = RequestFrame::parse(&bytes);
            let _ = AnswerFrame::parse(&bytes);
        }
    }
}
