//! Symbols of another's set, out of which the difference is found.

use sketch::{Decoder, Encoder, from_bytes, to_bytes};

/// Our own set: some of it is in the seeds.
const OURS: std::ops::Range<u64> = 0..40;

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let of = |items: std::ops::Range<u64>, count| to_bytes(&Encoder::new(items).symbols(count));
    vec![of(0..40, 3), of(10..40, 40), of(0..60, 60), of(100..130, 90), of(0..0, 30)]
}

/// What must hold of any bytes: the decoder ends, and finds no more than there are symbols.
pub fn check(bytes: &[u8]) {
    let Some(symbols) = from_bytes(bytes) else { return };
    assert_eq!(to_bytes(&symbols), bytes);
    let mut decoder = Decoder::new(OURS);
    // In two parts, as they come.
    let (first, rest) = symbols.split_at(symbols.len() / 2);
    if decoder.add(first).is_err() || decoder.add(rest).is_err() {
        return;
    }
    if let Some(difference) = decoder.difference() {
        assert!(difference.theirs.len() + difference.ours.len() <= symbols.len());
    }
}
