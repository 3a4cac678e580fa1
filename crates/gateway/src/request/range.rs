//! Byte ranges of files: the header `Range` and the parameter `entity-bytes`.
use std::ops::Range;

/// The position of the first or last byte of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// Number of bytes after the beginning of the file.
    FromStart(u64),
    /// Number of bytes before the end of the file.
    FromEnd(u64),
}

impl Edge {
    /// Returns the offset in a file of this size, or `None` if it is before the beginning.
    fn at(self, size: u64) -> Option<u64> {
        match self {
            Self::FromStart(offset) => Some(offset),
            Self::FromEnd(offset) => size.checked_sub(offset),
        }
    }

    fn read(text: &str) -> Option<Self> {
        match text.strip_prefix('-') {
            // "-0" is the same as "0", the beginning of the file.
            Some(digits) => {
                number(digits).map(|n| if n == 0 { Self::FromStart(0) } else { Self::FromEnd(n) })
            }
            None => number(text).map(Self::FromStart),
        }
    }
}

/// Parses a number that consists of digits only, without a sign.
fn number(digits: &str) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| digits.parse().ok()).flatten()
}

/// One range of a `Range` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From the first to the second byte, both included. Without the second, to the end of the file.
    From(u64, Option<u64>),
    /// This number of bytes at the end of the file.
    Last(u64),
}

impl ByteRange {
    /// Parses the header. Returns `None` for several ranges and for a malformed header. As HTTP allows, the answer is
    /// then the whole file.
    pub fn read(header: &str) -> Option<Self> {
        let (unit, range) = header.split_once('=')?;
        let (from, to) = range.trim().split_once('-')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return None;
        }
        if from.is_empty() {
            return number(to).map(Self::Last);
        }
        let from = number(from)?;
        let to = if to.is_empty() { None } else { Some(number(to)?) };
        to.is_none_or(|to| from <= to).then_some(Self::From(from, to))
    }

    /// Returns the range's bytes in a file of this size, or `None` if the file has none of them.
    pub fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(from, to) => from..to.map_or(size, |to| to.saturating_add(1).min(size)),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// The parameter `entity-bytes`: the range of a file whose blocks a CAR contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityBytes {
    /// Position of the first byte.
    pub from: Edge,
    /// Position of the last byte, or `None` for the end of the file.
    pub to: Option<Edge>,
}

impl EntityBytes {
    /// Parses `from:to`. Returns `None` if the text is malformed or cannot be a range of any file.
    pub fn read(text: &str) -> Option<Self> {
        let (from, to) = text.split_once(':')?;
        let from = Edge::read(from)?;
        let to = if to == "*" { None } else { Some(Edge::read(to)?) };
        let is_possible = match (from, to) {
            (Edge::FromStart(from), Some(Edge::FromStart(to))) => from <= to,
            (Edge::FromEnd(from), Some(Edge::FromEnd(to))) => from >= to,
            _ => true,
        };
        is_possible.then_some(Self { from, to })
    }

    /// Returns the range's bytes in a file of this size. The result is empty if the file has none of them.
    pub fn within(self, size: u64) -> Range<u64> {
        let from = self.from.at(size).unwrap_or(0);
        let end = match self.to {
            None => size,
            // An end before the beginning of the file leaves an empty range.
            Some(to) => to.at(size).map_or(0, |last| last.saturating_add(1)),
        };
        from.min(size)..end.min(size).max(from.min(size))
    }
}
