//! Target: a row of the record store, possibly damaged by a failing disk.

use crate::samples::record;
use dcache::{End, Time};

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![row(End::at(Time(5))), row(End::NEVER)]
}

/// Checks that an accepted row is the same after reading and writing.
pub fn check(bytes: &[u8]) {
    if let Some(again) = store::reread_row(bytes) {
        assert_eq!(again, bytes);
    }
}

/// Returns a row in the layout that the documentation of the store describes.
fn row(keep: End) -> Vec<u8> {
    let record = record();
    let signature = record.signature();
    let mut row = vec![2];
    row.extend(keep.to_bytes());
    row.extend(signature.sequence.to_be_bytes());
    row.extend(signature.bytes);
    row.extend(signature.signer.public_key());
    row.extend(record.statement().payload().as_bytes());
    row
}
