//! Target: a key file, possibly damaged by a failing disk or an editor.

use control::{KeyText, MAX_KEY_FILE_BYTES};

/// Checks that a key file is the same after writing and parsing.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = KeyText::parse(text) else { return };
    assert!(text.len() <= MAX_KEY_FILE_BYTES);
    let written = read.to_toml();
    let again = KeyText::parse(&written);
    assert_eq!(again.map(|again| (again.sequence, again.to_toml())), Ok((read.sequence, written)));
}

/// Returns the file of a key, with the sequence number 7.
pub fn seeds() -> Vec<Vec<u8>> {
    let (seed, peer) = ("01".repeat(32), crate::samples::peer());
    vec![format!("version = 1\npeer = \"{peer}\"\nseed = \"{seed}\"\nsequence = 7\n").into_bytes()]
}
