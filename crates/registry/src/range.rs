//! The header `Range`, by which engines go on with an interrupted blob.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// A part of a blob: the first byte and the number of bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Part {
    pub first: u64,
    pub bytes: u64,
}

/// The range of a request cannot be satisfied.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Unsatisfiable;

/// Reads a range. Several ranges, and ranges from the end, are ignored, so the whole blob is answered.
pub(crate) fn parse(header: &str, size: u64) -> Result<Option<Part>, Unsatisfiable> {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Ok(None);
    };
    let Ok(first) = first.parse::<u64>() else {
        return Ok(None);
    };
    let end = match last {
        "" => size,
        last => match last.parse::<u64>() {
            Ok(last) => last.saturating_add(1).min(size),
            Err(_) => return Ok(None),
        },
    };
    if first >= size {
        return Err(Unsatisfiable);
    }
    // A range that ends before it begins is invalid, and ignored.
    Ok(end.checked_sub(first).filter(|bytes| *bytes > 0).map(|bytes| Part { first, bytes }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_from_the_beginning_is_understood() {
        let part = |first, bytes| Ok(Some(Part { first, bytes }));
        assert_eq!(parse("bytes=0-", 10), part(0, 10));
        assert_eq!(parse("bytes=4-", 10), part(4, 6));
        assert_eq!(parse("bytes=4-4", 10), part(4, 1));
        assert_eq!(parse("bytes=4-99", 10), part(4, 6));
        assert_eq!(parse("bytes=0-18446744073709551615", 10), part(0, 10));
        assert_eq!(parse("bytes=10-", 10), Err(Unsatisfiable));
        for ignored in ["", "bytes=-5", "bytes=5-4", "bytes=1-2,4-5", "lines=1-2", "bytes=a-b"] {
            assert_eq!(parse(ignored, 10), Ok(None), "{ignored}");
        }
    }
}
