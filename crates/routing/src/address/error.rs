//! Why a text is no address.

use super::limits::{MAX_ADDRESS_BYTES, MAX_HOPS};

/// Why a text is no address. Segments are numbered from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Over the bound.
    #[error("an address has at most {MAX_ADDRESS_BYTES} bytes, not {0}")]
    Length(usize),
    /// Not of the form `/a/b/c`.
    #[error("an address is segments, each after a `/` and none empty: {0:?}")]
    Segments(String),
    /// A segment is not what has to stand in its place.
    #[error("segment {number} is {found:?}; expected {expected}")]
    Unexpected {
        /// Which segment.
        number: usize,
        /// What it is.
        found: String,
        /// What has to stand there.
        expected: &'static str,
    },
    /// The address ends where something has to follow.
    #[error("the address ends after segment {after}; expected {expected}")]
    Ends {
        /// The last segment.
        after: usize,
        /// What has to follow.
        expected: &'static str,
    },
    /// Right, but written in another way than the one that everybody uses, and addresses are compared as texts.
    #[error("segment {number} is {found:?}; write it {canonical:?}")]
    Spelling {
        /// Which segment.
        number: usize,
        /// What it is.
        found: String,
        /// The same as everybody writes it.
        canonical: String,
    },
    /// Put together from parts that would not be read so.
    #[error("a name with a `/`, or a part behind one that nothing can follow: {0:?} says something else")]
    Parts(String),
    /// A chain that is too long.
    #[error("an address leads over at most {MAX_HOPS} channels, not {0}")]
    Hops(u8),
}
