//! Binds signatures to one swarm, so that a statement of one swarm has no meaning in another.
//!
//! A swarm with roots has a random ID in its swarm file. The ID stays the same when the roots change. Each statement of
//! the swarm is signed together with this ID, in a signature domain of its own: see `signature.rs`. The open swarm has
//! no ID, and the format of its signatures never changes.
//!
//! A swarm file from before the introduction of IDs gets an ID together with a time, [`Binding::from`]. Statements that
//! begin to hold before that time are signed without the ID, later ones with it. This has three consequences:
//!
//! - All earlier signatures stay valid.
//! - Until that time, robots with the new file and robots with the old file accept each other's records.
//! - All nodes agree whether a signature is valid.
//!
//! An earlier statement of another swarm with the same roots can still be replayed into this one.

use crate::{Digest, Time, Validity};
use std::fmt;
use std::str::FromStr;

/// Size of a swarm ID in bytes. At this size, two equal random IDs are infeasible to find.
pub const SWARM_ID_BYTES: usize = 16;

/// The random ID of a swarm, created once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwarmId([u8; SWARM_ID_BYTES]);

/// Error for a text that is not the ID of a swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ID of a swarm is {} hexadecimal digits", 2 * SWARM_ID_BYTES)]
pub struct SwarmIdError;

impl SwarmId {
    /// Creates the ID of a new swarm from random bytes.
    pub const fn from_bytes(bytes: [u8; SWARM_ID_BYTES]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; SWARM_ID_BYTES] {
        &self.0
    }
}

impl fmt::Display for SwarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for SwarmId {
    type Err = SwarmIdError;
    fn from_str(text: &str) -> Result<Self, SwarmIdError> {
        let is_hex = text.len() == 2 * SWARM_ID_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut bytes = [0; SWARM_ID_BYTES];
        for (place, byte) in bytes.iter_mut().enumerate() {
            let digits = text.get(2 * place..2 * place + 2).filter(|_| is_hex).ok_or(SwarmIdError)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| SwarmIdError)?;
        }
        Ok(Self(bytes))
    }
}

/// The ID of a swarm, and the time from which signatures include it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// ID of the swarm.
    pub id: SwarmId,
    /// Statements that begin to hold before this time are signed without the ID. Zero for a swarm that always had an
    /// ID.
    pub from: Time,
}

impl Binding {
    /// Returns the ID that is signed together with a statement of this validity, or `None` if it is signed without an
    /// ID.
    pub fn domain(&self, validity: &Validity) -> Option<SwarmId> {
        // An open start is earlier than every time.
        (validity.from().unwrap_or_default() >= self.from).then_some(self.id)
    }

    /// Returns a number that identifies the ID and the time together. It is never [`Binding::UNBOUND`] or
    /// [`Binding::MIXED`].
    pub fn mark(&self) -> u64 {
        let bytes = [&self.id.0[..], &self.from.0.to_be_bytes()].concat();
        let number = u64::from_be_bytes(*Digest::of(&bytes).as_bytes().first_chunk().unwrap_or(&[1; 8]));
        number.clamp(Self::UNBOUND + 1, Self::MIXED - 1)
    }

    /// The [`Binding::mark`] of a swarm without an ID.
    pub const UNBOUND: u64 = 0;
    /// The mark of records of which it is not known in which swarm they were signed.
    pub const MIXED: u64 = u64::MAX;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_other_texts_are_refused() {
        let id = SwarmId::from_bytes([0x0f; SWARM_ID_BYTES]);
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "0f", &"0".repeat(31), &"0".repeat(33), &"x".repeat(32), &"+1".repeat(16)] {
            assert_eq!(text.parse::<SwarmId>(), Err(SwarmIdError), "{text}");
        }
    }

    #[test]
    fn only_statements_that_begin_after_the_binding_are_signed_with_the_id() {
        let id = SwarmId::from_bytes([1; SWARM_ID_BYTES]);
        let since = |from| Binding { id, from }.domain(&Validity::starting(Time(100), 10));
        assert_eq!([0, 100, 101].map(|from| since(Time(from))), [Some(id), Some(id), None]);
        assert_eq!(Binding { id, from: Time(0) }.domain(&Validity::ALWAYS), Some(id));
        assert_eq!(Binding { id, from: Time(1) }.domain(&Validity::ALWAYS), None);
        assert_ne!(Binding { id, from: Time(0) }.mark(), Binding { id, from: Time(1) }.mark());
    }
}
