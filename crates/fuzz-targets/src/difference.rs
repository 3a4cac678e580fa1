//! Target: the symbols of another node's set, from which the set difference is decoded.

use sketch::{Decoder, Encoder, from_bytes, to_bytes};

/// This node's own set. Most sets of the seeds overlap with it.
const OURS: std::ops::Range<u64> = 0..40;

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let of = |items: std::ops::Range<u64>, count| to_bytes(&Encoder::new(items).symbols(count));
    vec![of(0..40, 3), of(10..40, 40), of(0..60, 60), of(100..130, 90), of(0..0, 30)]
}

/// Checks that the decoder terminates, and that the difference has at most as many items as there are symbols.
pub fn check(bytes: &[u8]) {
    let Some(symbols) = from_bytes(bytes) else { return };
    assert_eq!(to_bytes(&symbols), bytes);
    let mut decoder = Decoder::new(OURS);
    // Symbols arrive in several parts.
    let (first, rest) = symbols.split_at(symbols.len() / 2);
    if decoder.add(first).is_err() || decoder.add(rest).is_err() {
        return;
    }
    if let Some(difference) = decoder.difference() {
        assert!(difference.theirs.len() + difference.ours.len() <= symbols.len());
    }
}
