//! The form that all addresses share, whatever they mean: segments, each after a `/`.

use super::error::AddressError;
use super::limits::MAX_ADDRESS_BYTES;
use std::fmt;
use std::str::FromStr;

/// One or more segments, each after a `/`, none of them empty, of no known meaning: the name of a queue, or what a rule
/// is to match. Not every such text is an [`Address`](super::Address): `/dswarm/*` is none, for one, because it ends too early.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segments(String);

impl Segments {
    /// The segments, first to last.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &str> {
        iter(&self.0)
    }

    /// What is left of these segments after the queue's own: whole segments are compared, and a `*` in these stands for
    /// any one segment of the queue (IPSD). The rest is empty when they are equally long.
    pub fn strip_queue(&self, queue: &Self) -> Option<String> {
        strip_queue(&self.0, &queue.0).map(str::to_owned)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Checks the form, not the meaning.
pub(super) fn check(text: &str) -> Result<(), AddressError> {
    if text.len() > MAX_ADDRESS_BYTES {
        return Err(AddressError::Length(text.len()));
    }
    let has_form = text.starts_with('/') && !text.ends_with('/') && !has_empty(text) && !has_control(text);
    if has_form { Ok(()) } else { Err(AddressError::Segments(text.to_owned())) }
}

// Both look at all bytes, whatever they find, because many bytes are looked at together then.
fn has_empty(text: &str) -> bool {
    let pairs = text.bytes().zip(text.bytes().skip(1));
    pairs.fold(false, |found, pair| found | (pair == (b'/', b'/')))
}

/// Whether there is a control character. Those that are not of ASCII begin with the byte 0xc2, as some others do.
fn has_control(text: &str) -> bool {
    let may_have = text.bytes().fold(false, |found, byte| found | byte.is_ascii_control() | (byte == 0xc2));
    may_have && text.contains(char::is_control)
}

/// The segments of a text that is checked.
pub(super) fn iter(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.strip_prefix('/').unwrap_or(text).split('/')
}

/// What is left of a checked text after a queue's segments.
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

/// The first segment and what follows; `None` at the end.
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
