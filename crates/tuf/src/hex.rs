//! Hexadecimal texts of hashes, keys and signatures.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt::Write as _;

/// Returns the bytes in lower case.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Parses a text of exactly `LENGTH` bytes.
pub(crate) fn decode<const LENGTH: usize>(text: &str) -> Option<[u8; LENGTH]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * LENGTH || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; LENGTH];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hexadecimal_text_has_exactly_the_bytes() {
        assert_eq!(decode::<3>(&encode(&[0, 10, 255])), Some([0, 10, 255]));
        assert_eq!(decode("0AfF"), Some([10, 255]));
        for text in ["", "0a", "0aff0", "0aff00", "0ag0", "+a00", "é00"] {
            assert_eq!(decode::<2>(text), None, "{text}");
        }
    }
}
