//! Verification of an object in the storage.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::PartProof;
use crate::object::Object;
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// A part that the storage has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The identifier that the storage gave it. *Complete* names it.
    pub tag: String,
    /// The MD5 of its content in hexadecimal, as this node computed it.
    pub md5: String,
}

/// An object that the storage shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Size in bytes.
    pub size: u64,
    /// The SHA-256 of the content, from the metadata.
    pub sha256: Option<String>,
    /// The identifier that the storage gave the content.
    pub tag: Option<String>,
    /// Whether the destination computed the SHA-256 of the content before it showed the object.
    pub is_hashed: bool,
}

/// Result of the verification of an object after its upload. Its size and the SHA-256 in its metadata are always right. The
/// storage checks the SHA-256 of each part against the signature of the request, if it implements S3 fully.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// Whether this upload sent the content. Otherwise the storage had the object already.
    pub was_sent: bool,
    /// Whether the destination proved by a digest that it has the content: a folder is read again, and S3 names the MD5 of
    /// the content that was sent. Not every storage does: encrypted objects have other identifiers.
    pub by_digest: bool,
}

impl Part {
    /// Returns whether the storage identifies the part by the MD5 of its content.
    pub fn is_md5(&self) -> bool {
        bare(&self.tag).eq_ignore_ascii_case(&self.md5)
    }
}

impl Seen {
    /// Returns whether this is the object.
    pub fn is(&self, object: &Object) -> bool {
        self.size == object.size && self.sha256.is_some() && self.sha256.as_deref() == object.sha256()
    }
}

impl Checked {
    /// Returns the result for an object that the storage had already.
    pub(super) fn found(seen: &Seen) -> Self {
        Self { was_sent: false, by_digest: seen.is_hashed }
    }

    /// Returns the result for an object that was sent.
    pub(super) fn sent(seen: &Seen, parts: &PartProof) -> Self {
        let is_tag = |expected: &String| seen.tag.as_deref().map(bare).is_some_and(|tag| tag == expected);
        let by_md5 = parts.are_md5 && parts.tag.as_ref().is_some_and(is_tag);
        Self { was_sent: true, by_digest: seen.is_hashed || by_md5 }
    }
}

/// Returns an identifier without its quotes.
fn bare(tag: &str) -> &str {
    tag.trim_matches('"')
}

/// Returns the identifier of an object of several parts, by the rule of S3: the MD5 of the MD5 of the parts, and their
/// number. `None` if an MD5 is not one.
pub(super) fn tag_of<'a>(parts: impl Iterator<Item = &'a Part>) -> Option<String> {
    let (mut hash, mut count) = (Md5::new(), 0);
    for part in parts {
        hash.update(unhex(&part.md5)?);
        count += 1;
    }
    Some(format!("{}-{count}", hex(&hash.finalize())))
}

/// Returns bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    (0..16).map(|place| u8::from_str_radix(text.get(place * 2..place * 2 + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(tag: &str, content: &[u8]) -> Part {
        Part { tag: tag.to_owned(), md5: hex(&Md5::digest(content)) }
    }

    #[test]
    fn the_identifier_of_parts_follows_the_rule_of_s3() {
        let parts = [part("", b"hello"), part("", b"world")];
        // Computed by `printf hello | md5sum` and so on, and `xxd -r -p | md5sum`.
        assert_eq!(parts[0].md5, "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(tag_of(parts.iter()).unwrap(), "065947336a2f2a95ba8899f3675c3be6-2");
        let wrong = Part { tag: String::new(), md5: "zz".to_owned() };
        assert_eq!(tag_of([wrong].iter()), None);
    }

    #[test]
    fn an_identifier_counts_with_and_without_quotes() {
        assert!(part("\"5d41402abc4b2a76b9719d911017c592\"", b"hello").is_md5());
        assert!(part("5D41402ABC4B2A76B9719D911017C592", b"hello").is_md5());
        assert!(!part("\"5d41402abc4b2a76b9719d911017c592\"", b"world").is_md5());
    }
}
