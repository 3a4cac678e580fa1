//! A row of the store, as a dying disk may give it back.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// As the store's documentation lays it out.
fn row(forget: u64) -> Vec<u8> {
    let record = fuzz::record();
    let signature = record.signature();
    let mut row = vec![1];
    row.extend(forget.to_be_bytes());
    row.extend(signature.sequence.to_be_bytes());
    row.extend(signature.bytes);
    row.extend(signature.signer.public_key());
    row.extend(record.statement().payload().as_bytes());
    row
}

fuzz_target!(
    init: fuzz::sow([row(5), row(u64::MAX)]),
    |bytes: &[u8]| {
        if let Some(again) = store::reread_row(bytes) {
            assert_eq!(again, bytes);
        }
    }
);
