//! A key file, as a dying disk or an editor may have left it.

use control::{KeyText, MAX_KEY_FILE_BYTES};

/// What is read is written so that it reads back the same.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(read) = KeyText::parse(text) else { return };
    assert!(text.len() <= MAX_KEY_FILE_BYTES);
    let written = read.to_toml();
    let again = KeyText::parse(&written);
    assert_eq!(again.map(|again| (again.sequence, again.to_toml())), Ok((read.sequence, written)));
}

/// The file of a key that was never used.
pub fn seeds() -> Vec<Vec<u8>> {
    let (seed, peer) = ("01".repeat(32), crate::samples::peer());
    vec![format!("version = 1\npeer = \"{peer}\"\nseed = \"{seed}\"\nsequence = 7\n").into_bytes()]
}
