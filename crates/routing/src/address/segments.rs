//! The form that all addresses share, independent of their meaning: segments, each after a `/`.

use super::error::AddressError;
use super::limits::MAX_ADDRESS_BYTES;
use std::fmt;
use std::str::FromStr;

/// One or more segments without a known meaning, each after a `/` and none empty. They are the name of a queue, or a
/// pattern that a rule matches. Not every such text is an [`Address`](super::Address). For example, `/dswarm/*` is none
/// because it ends too early.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segments(String);

impl Segments {
    /// Returns the segments, first to last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &str> {
        iter(&self.0)
    }

    /// Returns the rest of these segments after those of a queue; `None` if they do not begin with them. Whole segments
    /// are compared, and a `*` in these segments matches any one segment of the queue (IPSD). The rest is empty if both
    /// have the same length.
    pub fn strip_queue(&self, queue: &Self) -> Option<String> {
        strip_queue(&self.0, &queue.0).map(str::to_owned)
    }

    /// Returns the text of the segments.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks the form of a text, but not its meaning.
pub(super) fn check(text: &str) -> Result<(), AddressError> {
    if text.len() > MAX_ADDRESS_BYTES {
        return Err(AddressError::Length(text.len()));
    }
    let has_form = text.starts_with('/') && !text.ends_with('/') && !has_empty(text) && !has_control(text);
    if has_form { Ok(()) } else { Err(AddressError::Segments(text.to_owned())) }
}

// Both functions examine all bytes, even after a match, so that the compiler can process many bytes at a time.
fn has_empty(text: &str) -> bool {
    let pairs = text.bytes().zip(text.bytes().skip(1));
    pairs.fold(false, |found, pair| found | (pair == (b'/', b'/')))
}

/// Returns whether a text contains a control character. In UTF-8, control characters outside ASCII begin with the byte
/// 0xc2, as do some other characters.
fn has_control(text: &str) -> bool {
    let may_have = text.bytes().fold(false, |found, byte| found | byte.is_ascii_control() | (byte == 0xc2));
    may_have && text.contains(char::is_control)
}

/// Returns the segments of a text that has been checked.
pub(super) fn iter(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.strip_prefix('/').unwrap_or(text).split('/')
}

/// Returns the rest of a checked text after the segments of a queue; `None` if it does not begin with them.
pub(super) fn strip_queue<'a>(text: &'a str, queue: &str) -> Option<&'a str> {
    let mut rest = text;
    for of_queue in iter(queue) {
        let (own, after) = split_first(rest)?;
        if own != "*" && own != of_queue {
            return None;
        }
        rest = after;
    }
    Some(rest)
}

/// Returns the first segment and the text after it; `None` at the end of the text.
pub(super) fn split_first(text: &str) -> Option<(&str, &str)> {
    let text = text.strip_prefix('/')?;
    let end = text.bytes().position(|byte| byte == b'/').unwrap_or(text.len());
    text.split_at_checked(end)
}

impl FromStr for Segments {
    type Err = AddressError;
    fn from_str(text: &str) -> Result<Self, AddressError> {
        check(text).map(|()| Self(text.to_owned()))
    }
}

impl fmt::Display for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Segments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segments({self})")
    }
}
