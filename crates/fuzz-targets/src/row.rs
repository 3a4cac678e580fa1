//! A row of the store, as a dying disk may give it back.

use crate::samples::record;
use dcache::{End, Time};

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![row(End::at(Time(5))), row(End::NEVER)]
}

/// What must hold of any bytes.
pub fn check(bytes: &[u8]) {
    if let Some(again) = store::reread_row(bytes) {
        assert_eq!(again, bytes);
    }
}

/// As the store's documentation lays it out.
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
