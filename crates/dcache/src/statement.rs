//! Statements: the content of a record before it is signed, as the text of the payload and in parsed form.

use crate::{BucketPath, Data, Digest, Item, MAX_TIME, Validity};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

/// Maximum size, in bytes, of a payload. An item's data of 1024 bytes fits even if a third of it needs escaping.
pub const MAX_PAYLOAD_BYTES: usize = 4096;

/// Kind of a statement: it says either that the item is in its bucket, or that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The item is in the bucket during the validity.
    Propose,
    /// The item is not in the bucket during the validity.
    Dismiss,
}

/// A `propose` or `dismiss` payload. The exact bytes of the payload are hashed, signed, stored and sent.
///
/// Nearly all payloads are written exactly as [`Statement::new`] writes them. For these, only the parsed form is kept,
/// and the bytes are generated when needed. For all others, both are kept.
// The C layout keeps the fields that every query reads adjacent, at the beginning. In a large set, memory accesses take
// more time than all other work.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Statement {
    kind: Kind,
    validity: Validity,
    item: Item,
    /// The payload, if it is written differently from [`Statement::new`].
    foreign: Option<Box<str>>,
}

/// Reason why a payload is not a statement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The payload is over the size limit and was not parsed.
    #[error("a payload has at most {MAX_PAYLOAD_BYTES} bytes, not {0}")]
    Length(usize),
    /// The payload is not the JSON of a `propose` or `dismiss`, or a part of it is out of bounds.
    #[error("not a propose or dismiss message: {0}")]
    Shape(String),
    /// A time in the validity is later than [`MAX_TIME`].
    #[error("a time of the validity is later than {MAX_TIME} s, the latest one allowed")]
    Time,
}

/// JSON form of a payload, as defined by IPSD.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    mtype: Kind,
    bucket: BucketPath,
    data: Data,
    validity: Validity,
}

/// JSON form for writing. The order of the fields is the order in which they are written.
#[derive(Serialize)]
struct Written<'a> {
    mtype: Kind,
    bucket: &'a BucketPath,
    data: &'a Data,
    validity: Validity,
}

impl Statement {
    /// Parses a payload.
    ///
    /// # Errors
    /// Returns an error if the payload is too long, is not of the right form, or has a part that is out of bounds.
    pub fn parse(payload: &str) -> Result<Self, StatementError> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(StatementError::Length(payload.len()));
        }
        let shape: Shape =
            serde_json::from_str(payload).map_err(|error| StatementError::Shape(error.to_string()))?;
        let item = Item { bucket: shape.bucket, data: shape.data };
        let mut read = Self { kind: shape.mtype, item, validity: shape.validity, foreign: None };
        read.check_times()?;
        if read.written() != payload {
            read.foreign = Some(payload.into());
        }
        Ok(read)
    }

    /// Creates a statement.
    ///
    /// # Errors
    /// Returns an error if a time is too late, or if the payload would be too long. Only data full of control
    /// characters can make it too long.
    pub fn new(kind: Kind, item: Item, validity: Validity) -> Result<Self, StatementError> {
        let new = Self { kind, item, validity, foreign: None };
        new.check_times()?;
        match new.written().len() {
            0..=MAX_PAYLOAD_BYTES => Ok(new),
            length => Err(StatementError::Length(length)),
        }
    }

    fn check_times(&self) -> Result<(), StatementError> {
        let ends = [self.validity.from(), self.validity.until()];
        let is_late = ends.into_iter().flatten().any(|end| end > MAX_TIME);
        if is_late { Err(StatementError::Time) } else { Ok(()) }
    }

    #[expect(clippy::expect_used, reason = "structs of texts and numbers always have a JSON form")]
    fn written(&self) -> String {
        let Item { bucket, data } = &self.item;
        let written = Written { mtype: self.kind, bucket, data, validity: self.validity };
        serde_json::to_string(&written).expect("a statement has a JSON form")
    }

    /// Returns the text that is hashed, signed, stored and sent.
    pub fn payload(&self) -> Cow<'_, str> {
        match &self.foreign {
            Some(payload) => Cow::Borrowed(payload),
            None => Cow::Owned(self.written()),
        }
    }

    /// Returns the SHA-256 of the payload.
    pub fn digest(&self) -> Digest {
        Digest::of(self.payload().as_bytes())
    }

    /// Lets the path of the statement's bucket share the memory of `bucket`, if both are equal.
    pub(crate) fn share_bucket(&mut self, bucket: &BucketPath) {
        if self.item.bucket == *bucket {
            self.item.bucket = bucket.clone();
        }
    }

    /// Returns whether the statement proposes or dismisses its item.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the item that the statement is about.
    pub fn item(&self) -> &Item {
        &self.item
    }

    /// Returns the time during which the statement holds.
    pub fn validity(&self) -> &Validity {
        &self.validity
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Time;
    use proptest::prelude::*;

    const EXAMPLE: &str = r#"{"mtype":"propose","bucket":["share","files"],"data":"QmHash","validity":[1511000000,1511600000]}"#;

    #[test]
    fn a_payload_keeps_its_exact_bytes() {
        let spaced = EXAMPLE.replace(':', " : ");
        assert_eq!(Statement::parse(&spaced).unwrap().payload(), spaced);
        assert_ne!(Statement::parse(&spaced).unwrap().digest(), Statement::parse(EXAMPLE).unwrap().digest());
    }

    #[test]
    fn a_new_statement_has_the_documented_form() {
        let read = Statement::parse(EXAMPLE).unwrap();
        let written = Statement::new(read.kind(), read.item().clone(), *read.validity()).unwrap();
        assert_eq!(written.payload(), EXAMPLE);
    }

    #[test]
    fn a_payload_of_another_form_is_refused() {
        for wrong in [
            EXAMPLE.replace("propose", "suggest"),
            EXAMPLE.replace("\"data\"", "\"extra\":1,\"data\""),
            EXAMPLE.replace("\"data\":\"QmHash\"", "\"data\":\"a\",\"data\":\"b\""),
            EXAMPLE.replace("\"QmHash\"", "7"),
            EXAMPLE.replace("1511600000", "99999999999999"),
            EXAMPLE.replace("[\"share\",\"files\"]", "[]"),
            format!("{EXAMPLE} x"),
            "[".repeat(4000),
            " ".repeat(5000),
        ] {
            assert!(Statement::parse(&wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused_without_a_panic(text in "\\PC{0,300}") {
            let _ = Statement::parse(&text);
        }

        #[test]
        fn written_statements_read_back(data in "[^\\x00-\\x1f]{0,200}", from in 0u64..1 << 40, seconds in 1u64..1 << 20) {
            let item = Item { bucket: "a/b".parse().unwrap(), data: Data::new(&data).unwrap() };
            let validity = Validity::starting(Time(from).min(Time((1 << 40) - (1 << 20))), seconds);
            let written = Statement::new(Kind::Dismiss, item, validity).unwrap();
            prop_assert_eq!(Statement::parse(&written.payload()).unwrap(), written);
        }
    }
}
