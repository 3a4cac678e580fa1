//! Who speaks, as text.

use crate::samples::peer;
use dcache::PeerId;

/// Inputs to begin with.
pub fn seeds() -> Vec<Vec<u8>> {
    let extremes = [[0; 32], [255; 32]].map(|key| PeerId::from_public_key(key).to_string().into());
    let of_rsa = b"QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".to_vec();
    [vec![peer().to_string().into(), of_rsa], extremes.to_vec()].concat()
}

/// What must hold of any bytes.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = text.parse::<PeerId>() else { return };
    // A peer that had two names could stand twice where it may stand once.
    assert_eq!(read.to_string(), text);
    assert_eq!(PeerId::from_public_key(*read.public_key()), read);
}
