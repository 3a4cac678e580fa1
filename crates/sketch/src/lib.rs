//! Computes the difference of two sets from a number of bytes that depends on the difference, not on the sets.
//!
//! The method is a rateless invertible Bloom lookup table (Yang, Gilad, Alizadeh, *Practical Rateless Set Reconciliation*,
//! SIGCOMM 2024, arXiv 2402.02668). A set stands for an endless sequence of [`Symbol`]s. Each symbol is the sum of a part of
//! the items. A decoder subtracts its own symbols from those of the other set, so shared items cancel out. It then solves the rest
//! like a chain of equations with one unknown each. About 1.4 symbols per differing item suffice, once there are some dozens.
//! Nobody has to guess the size of the difference: when the symbols do not suffice, further symbols are sent.
//!
//! Items are numbers of 64 bits. [`salted`] makes them from the identifiers of records, with a new salt each time. So nobody
//! can prepare records with equal numbers, and if two are equal by chance, the next salt tells them apart.
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

/// The number that stands for an identifier under a salt: SipHash-2-4, keyed by the salt.
pub fn salted(salt: u64, id: &[u8]) -> u64 {
    SipHasher24::new_with_keys(salt, 0).hash(id)
}

#[cfg(test)]
mod tests;
