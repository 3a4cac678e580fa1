//! Target: a signature in the JSON of an envelope.

use crate::samples::{keypair, record};
use dcache::{End, MAX_SEQUENCE, Signature};

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let signatures = [*record().signature(), keypair().sign(MAX_SEQUENCE, End::NEVER, "hello")];
    signatures.map(|signature| serde_json::to_vec(&signature).unwrap_or_default()).to_vec()
}

/// Checks the limits of a signature, and that it is the same after encoding and parsing.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = serde_json::from_str::<Signature>(text) else { return };
    assert!((1..=MAX_SEQUENCE).contains(&read.sequence));
    let written = serde_json::to_string(&read).unwrap_or_default();
    assert_eq!(serde_json::from_str::<Signature>(&written).ok(), Some(read), "{written}");
    // The key and the signature may not be valid points of the curve. Verifying must not panic; its result does not
    // matter.
    let _ = read.verify("hello");
}
