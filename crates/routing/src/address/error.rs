//! The error for a text that is not a valid address.

use super::limits::{MAX_ADDRESS_BYTES, MAX_HOPS};

/// Error for a text that is not a valid address. Segments are numbered from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Longer than the maximum.
    #[error("an address has at most {MAX_ADDRESS_BYTES} bytes, not {0}")]
    Length(usize),
    /// Not of the form `/a/b/c`.
    #[error("an address consists of segments, each after a `/` and none empty: {0:?}")]
    Segments(String),
    /// A segment that is not allowed in its place.
    #[error("segment {number} is {found:?}; expected {expected}")]
    Unexpected {
        /// Number of the segment.
        number: usize,
        /// Text of the segment.
        found: String,
        /// Description of the valid segments.
        expected: &'static str,
    },
    /// The address ends where another segment has to follow.
    #[error("the address ends after segment {after}; expected {expected}")]
    Ends {
        /// Number of the last segment.
        after: usize,
        /// Description of the segments that may follow.
        expected: &'static str,
    },
    /// The segment is valid, but not in the one usual spelling. Addresses are compared as texts, so other spellings are
    /// refused.
    #[error("segment {number} is {found:?}; write it {canonical:?}")]
    Spelling {
        /// Number of the segment.
        number: usize,
        /// Text of the segment.
        found: String,
        /// The same value in its usual spelling.
        canonical: String,
    },
    /// The parts of an address would be parsed as other parts.
    #[error("a name contains a `/`, or a part follows one that must be the last: {0:?} has another meaning")]
    Parts(String),
    /// A chain that is too long.
    #[error("an address leads over at most {MAX_HOPS} channels, not {0}")]
    Hops(u8),
}
