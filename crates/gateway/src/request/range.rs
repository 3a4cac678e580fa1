//! Which bytes of a file are asked for.
use std::ops::Range;

/// The first byte of a range, or the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edge {
    /// So many bytes after the beginning.
    FromStart(u64),
    /// So many bytes before the end.
    FromEnd(u64),
}

impl Edge {
    /// Where it is in a file of this size; before the beginning is none.
    fn at(self, size: u64) -> Option<u64> {
        match self {
            Self::FromStart(offset) => Some(offset),
            Self::FromEnd(offset) => size.checked_sub(offset),
        }
    }

    fn read(text: &str) -> Option<Self> {
        match text.strip_prefix('-') {
            // Zero has no sign.
            Some(digits) => {
                number(digits).map(|n| if n == 0 { Self::FromStart(0) } else { Self::FromEnd(n) })
            }
            None => number(text).map(Self::FromStart),
        }
    }
}

/// The digits of a number, and nothing else.
fn number(digits: &str) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| digits.parse().ok()).flatten()
}

/// One range of a `Range` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// From this byte to that one, both included, or to the end.
    From(u64, Option<u64>),
    /// The last so many bytes.
    Last(u64),
}

impl ByteRange {
    /// Reads the header. What is not understood, and several ranges, are left aside as HTTP allows: the answer is the
    /// whole file then.
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

    /// The bytes of a file of this size; none when there are no such bytes.
    pub fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From(from, to) => from..to.map_or(size, |to| to.saturating_add(1).min(size)),
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (!range.is_empty()).then_some(range)
    }
}

/// The parameter `entity-bytes`: the bytes of a file whose blocks a CAR is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityBytes {
    /// The first byte.
    pub from: Edge,
    /// The last byte; none for the end of the file.
    pub to: Option<Edge>,
}

impl EntityBytes {
    /// Reads `from:to`; none when it is not written so, or can be no range of any file.
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

    /// The bytes of a file of this size; empty when there are none.
    pub fn within(self, size: u64) -> Range<u64> {
        let from = self.from.at(size).unwrap_or(0);
        let end = match self.to {
            None => size,
            // Before the beginning there is nothing.
            Some(to) => to.at(size).map_or(0, |last| last.saturating_add(1)),
        };
        from.min(size)..end.min(size).max(from.min(size))
    }
}
