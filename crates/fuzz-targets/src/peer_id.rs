//! Target: the text of a peer ID.

use crate::samples::peer;
use dcache::PeerId;

/// Returns the seed inputs, from which the fuzzer starts.
pub fn seeds() -> Vec<Vec<u8>> {
    let extremes = [[0; 32], [255; 32]].map(|key| PeerId::from_public_key(key).to_string().into());
    let of_rsa = b"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".to_vec();
    [vec![peer().to_string().into(), of_rsa], extremes.to_vec()].concat()
}

/// Checks that an accepted peer ID has only this text form.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = text.parse::<PeerId>() else { return };
    // If a peer had two text forms, it could be listed twice where it may be listed once.
    assert_eq!(read.to_string(), text);
    assert_eq!(PeerId::from_public_key(*read.public_key()), read);
}
