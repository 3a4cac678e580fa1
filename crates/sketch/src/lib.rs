//! The difference of two sets, from data whose size grows with the difference and not with the sets.
//!
//! The method is a rateless invertible Bloom lookup table (Yang, Gilad, Alizadeh, *Practical Rateless Set
//! Reconciliation*, SIGCOMM 2024, arXiv 2402.02668). A set is encoded as an endless sequence of [`Symbol`]s. Each
//! symbol is the sum of some of the items. A receiver of the first symbols of another set subtracts the symbols of its
//! own set. The items that both sets share cancel out. The rest is solved like a chain of equations with one unknown
//! each. With some dozens of differing items or more, about 1.4 symbols are enough for each of them. No estimate of the
//! difference is needed: when the symbols are too few, the sender sends more of the same sequence.
//!
//! Items are numbers of 64 bits. [`salted`] derives them from the identifiers of records, with a new salt each time. So
//! an attacker cannot prepare records whose numbers are equal. If two numbers are equal by chance, they differ with the
//! next salt.
//!
//! ```
//! # use sketch::{Decoder, Encoder};
//! let symbols = Encoder::new([1, 2, 3]).symbols(20);
//! let mut decoder = Decoder::new([2, 3, 4]);
//! decoder.add(&symbols).unwrap();
//! let difference = decoder.difference().unwrap();
//! assert_eq!((&difference.theirs[..], &difference.ours[..]), (&[1][..], &[4][..]));
//! ```
//!
//! # In short
//! - **Inputs**: a set of 64-bit numbers, and symbols of another set.
//! - **Outputs**: symbols of the set; the numbers that differ, or that more symbols are needed.
//! - **Invariants**: a decoder accepts any symbols, and its work is bounded by their number.
//! - **Start reading** at `symbol.rs`, then `encoder.rs` and `decoder.rs`.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod decoder;
mod encoder;
mod symbol;

pub use decoder::{DecodeError, Decoder, Difference};
pub use encoder::Encoder;
pub use symbol::{SYMBOL_BYTES, Symbol, from_bytes, to_bytes};

use siphasher::sip::SipHasher24;

/// Returns the number for an identifier under a salt: SipHash-2-4, keyed by the salt.
pub fn salted(salt: u64, id: &[u8]) -> u64 {
    SipHasher24::new_with_keys(salt, 0).hash(id)
}

#[cfg(test)]
mod tests;
