//! Computes the difference of two sets. The size of the exchanged data depends on the size of the difference, not on
//! the size of the sets.
//!
//! The method is a rateless invertible Bloom lookup table (Yang, Gilad, Alizadeh, *Practical Rateless Set
//! Reconciliation*, SIGCOMM 2024, arXiv 2402.02668). A set is encoded as an endless sequence of [`Symbol`]s. Each
//! symbol is the sum of some of the items. The receiver gets the first symbols of the sender's set, and subtracts the
//! symbols of its own set from them. The items that both sets share cancel out. The remaining symbols are solved one
//! after another, like equations with one unknown. If at least a few dozen items differ, about 1.4 symbols per
//! differing item are enough. No estimate of the difference is needed: if the symbols do not suffice, the sender sends
//! the next symbols of the sequence.
//!
//! Items are numbers of 64 bits. [`salted`] derives them from the identifiers of records, with a new salt for each
//! comparison. So an attacker cannot prepare records whose numbers are equal. If two numbers are equal by chance, they
//! differ with the next salt.
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
//! - **Outputs**: symbols of the set, and the difference of both sets as soon as enough symbols have arrived.
//! - **Invariants**: a decoder terminates for all symbols, also forged ones, and the number of symbols limits its work.
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
