//! The difference of two sets, found by bytes that grow with the difference and not with the sets.
//!
//! A rateless invertible Bloom lookup table (Yang, Gilad, Alizadeh, *Practical Rateless Set Reconciliation*, SIGCOMM
//! 2024, arXiv 2402.02668). A set stands for an endless sequence of [`Symbol`]s, each the sum of a part of its items. Who
//! has the first symbols of another set subtracts its own from them; what both sets share cancels out, and what is left
//! is solved like a chain of equations with one unknown each. About 1.4 symbols are enough for each differing item, as
//! soon as there are some dozens. Nobody has to guess the size of the difference: when the symbols are too few, more of
//! the same sequence are sent.
//!
//! Items are numbers of 64 bits. [`salted`] makes them from the identifiers of records, with a new salt each time: nobody
//! can prepare records whose numbers are equal, and should two be so by chance, the next salt tells them apart.
//!
//! ```
//! # use sketch::{Decoder, Encoder};
//! let symbols = Encoder::new([1, 2, 3]).symbols(20);
//! let mut decoder = Decoder::new([2, 3, 4]);
//! decoder.add(&symbols).unwrap();
//! let difference = decoder.difference().unwrap();
//! assert_eq!((&difference.theirs[..], &difference.ours[..]), (&[1][..], &[4][..]));
//! ```
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
