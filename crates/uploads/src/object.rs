//! The object that an upload makes: its key, its size, its parts and its metadata. This module is pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Range;

/// Name of the metadata with the SHA-256 of the whole content, in hexadecimal. With the size it decides whether an
/// object in the storage is the one to upload.
pub const SHA256: &str = "sha256";
/// Minimum size of a part, in bytes, except the last one. It is the limit of S3.
pub const MIN_PART_BYTES: u64 = 5 << 20;
/// Maximum size of a part, in bytes. A part is in memory while it is sent.
pub const MAX_PART_BYTES: u64 = 64 << 20;
/// Maximum number of parts of an object. It is the limit of S3.
pub const MAX_PARTS: u64 = 10_000;
/// Maximum size of an object, in bytes.
pub const MAX_OBJECT_BYTES: u64 = MAX_PARTS * MAX_PART_BYTES;
/// Maximum length of a key, in bytes. It is the limit of S3.
pub const MAX_KEY_BYTES: usize = 1024;
/// Maximum size of all metadata together, in bytes: names and values, as S3 counts them.
pub const MAX_METADATA_BYTES: usize = 2048;

/// Size of the parts is rounded up to a multiple of this, in bytes.
const PART_STEP: u64 = 1 << 20;
/// Characters that are percent-encoded in the values of metadata. They are headers, which carry printable ASCII only.
const IN_METADATA: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b' ')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'/')
    .remove(b':')
    .remove(b'+')
    .remove(b',')
    .remove(b'(')
    .remove(b')')
    .remove(b'@')
    .remove(b'=');

/// Description of an object to upload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Name of the object in the destination, without the prefix of the destination, such as `logs/CID`.
    pub key: String,
    /// Size in bytes.
    pub size: u64,
    /// Size of each part in bytes; the last one may be smaller. An object of one part is sent in one request.
    pub part_bytes: u64,
    /// Metadata by name. The values are encoded: see [`Metadata`].
    pub metadata: BTreeMap<String, String>,
}

/// Reason why an object cannot be uploaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// The key is not safe for a storage or a folder.
    #[error(
        "{0:?} cannot be the key of an object: a key has 1 to {MAX_KEY_BYTES} of the characters A-Z, a-z, 0-9, \
         `.`, `_` and `-`, in names that `/` separates and that do not begin with a dot"
    )]
    Key(String),
    /// The object has too many bytes.
    #[error("it has {0} bytes; an upload can have at most {MAX_OBJECT_BYTES}")]
    TooLarge(u64),
    /// The name of metadata is not valid.
    #[error("{0:?} cannot be the name of metadata: it has 1 to 64 of the characters a-z, 0-9 and `-`")]
    MetadataName(String),
}

/// Returns the key of the object of a shared file, without the prefix of the destination. The object of a folder is a tar
/// archive (`is_archive`).
pub fn key_of(cid: &ipfs::Cid, is_archive: bool) -> String {
    let end = if is_archive { ".tar" } else { "" };
    format!("logs/{cid}{end}")
}

impl Object {
    /// Creates the description of an object of `size` bytes. The parts have `part_bytes`, or more if the object would
    /// have more than [`MAX_PARTS`].
    ///
    /// # Errors
    /// When the key is not valid or the object is too large.
    pub fn new(key: &str, size: u64, part_bytes: u64, metadata: Metadata) -> Result<Self, ObjectError> {
        if !is_key(key) {
            return Err(ObjectError::Key(key.to_owned()));
        }
        if size > MAX_OBJECT_BYTES {
            return Err(ObjectError::TooLarge(size));
        }
        let least = size.div_ceil(MAX_PARTS).next_multiple_of(PART_STEP);
        let part_bytes = part_bytes.max(least).clamp(MIN_PART_BYTES, MAX_PART_BYTES);
        Ok(Self { key: key.to_owned(), size, part_bytes, metadata: metadata.0 })
    }

    /// Returns the number of parts; an empty object has one.
    pub fn parts(&self) -> u32 {
        // The number is at most `MAX_PARTS`, and a damaged row cannot lead to a division by zero.
        u32::try_from(self.size.div_ceil(self.part_bytes.max(1)).clamp(1, MAX_PARTS)).unwrap_or(u32::MAX)
    }

    /// Returns the bytes of a part, counted from 0.
    pub fn range(&self, part: u32) -> Range<u64> {
        let from = u64::from(part).saturating_mul(self.part_bytes).min(self.size);
        from..from.saturating_add(self.part_bytes).min(self.size)
    }

    /// Returns the SHA-256 of the content in hexadecimal, once it is known.
    pub fn sha256(&self) -> Option<&str> {
        self.metadata.get(SHA256).map(String::as_str)
    }
}

/// Returns whether a text is safe as a key in every storage, and as a path below a folder.
pub(crate) fn is_key(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_name = |name: &str| !name.is_empty() && !name.starts_with('.') && name.bytes().all(is_plain);
    text.len() <= MAX_KEY_BYTES && text.split('/').all(is_name)
}

/// Metadata of an object. S3 sends it as headers `x-amz-meta-NAME`, so characters outside of printable ASCII are
/// percent-encoded (UTF-8).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// Adds a value. A value that does not fit into [`MAX_METADATA_BYTES`] loses its beginning, which `...` replaces: the
    /// end of a path says more than its beginning. The important metadata is therefore added first.
    ///
    /// # Errors
    /// When the name is not valid.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self, ObjectError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if name.is_empty() || name.len() > 64 || !name.bytes().all(is_plain) {
            return Err(ObjectError::MetadataName(name.to_owned()));
        }
        self.0.remove(name);
        // The digest of the content is added later.
        let used: usize = self.0.iter().map(|(name, value)| name.len() + value.len()).sum();
        let left = MAX_METADATA_BYTES.saturating_sub(used + SHA256.len() + 64 + name.len());
        if let Some(value) = shorten(value.trim(), left).filter(|value| !value.is_empty()) {
            self.0.insert(name.to_owned(), value);
        }
        Ok(self)
    }
}

/// Returns the encoded value, without its beginning if it is longer than `most` bytes; `None` if nothing fits.
fn shorten(value: &str, most: usize) -> Option<String> {
    const CUT: &str = "...";
    let encoded = encode(value);
    if encoded.len() <= most {
        return Some(encoded);
    }
    let room = most.checked_sub(CUT.len())?;
    let mut kept: Vec<String> = Vec::new();
    let mut length = 0;
    for character in value.chars().rev() {
        let piece = encode(character.encode_utf8(&mut [0; 4]));
        length += piece.len();
        if length > room {
            break;
        }
        kept.push(piece);
    }
    kept.push(CUT.to_owned());
    kept.reverse();
    Some(kept.concat())
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, IN_METADATA).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_cover_the_object_and_are_never_too_many() {
        for size in [0, 1, MIN_PART_BYTES, MIN_PART_BYTES + 1, 100 << 30, MAX_OBJECT_BYTES] {
            let object = Object::new("logs/a", size, 1, Metadata::default()).unwrap();
            assert!(u64::from(object.parts()) <= MAX_PARTS, "{size}");
            assert!((MIN_PART_BYTES..=MAX_PART_BYTES).contains(&object.part_bytes), "{size}");
            assert_eq!(object.range(0).start, 0);
            assert_eq!(object.range(object.parts() - 1).end, size);
            if object.parts() > 1 {
                assert_eq!(object.range(0).end, object.range(1).start);
                assert!(!object.range(object.parts() - 1).is_empty());
            }
        }
        let too_large = Object::new("logs/a", MAX_OBJECT_BYTES + 1, 1, Metadata::default());
        assert_eq!(too_large, Err(ObjectError::TooLarge(MAX_OBJECT_BYTES + 1)));
    }

    #[test]
    fn a_key_is_safe_as_a_path() {
        for key in ["logs/bafy", "a", "a/b/c.bag", "A-Z_0.9"] {
            assert!(is_key(key), "{key}");
        }
        for key in
            ["", "/a", "a/", "a//b", "../a", "a/../b", "a/.b", "a b", "a\nb", "ä", "a%", &"a".repeat(1025)]
        {
            assert!(!is_key(key), "{key:?}");
        }
    }

    #[test]
    fn metadata_is_printable_ascii_and_bounded() {
        let path = "ä/".repeat(2000) + "my.bag";
        let metadata = Metadata::default().with("name", "Grüße\r\nx: y.bag").unwrap();
        let metadata = metadata.with("path", &path).unwrap().with("robot", "late").unwrap();
        assert_eq!(metadata.0["name"], "Gr%C3%BC%C3%9Fe%0D%0Ax: y.bag");
        assert!(metadata.0["path"].starts_with("...") && metadata.0["path"].ends_with("/my.bag"));
        assert!(!metadata.0.contains_key("robot"), "no room is left");
        let bytes: usize = metadata.0.iter().map(|(name, value)| name.len() + value.len()).sum();
        assert!(bytes + SHA256.len() + 64 <= MAX_METADATA_BYTES, "{bytes}");
        let is_printable = |value: &String| value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        assert!(metadata.0.values().all(is_printable));
        assert!(Metadata::default().with("a\n", "").is_err());
    }

    #[test]
    fn a_cut_value_never_ends_within_an_encoded_character() {
        for most in 0..40 {
            let Some(value) = shorten("äöü-äöü", most) else { continue };
            let decoded = percent_encoding::percent_decode_str(&value).decode_utf8();
            assert!(value.len() <= most && decoded.is_ok(), "{value}");
        }
    }
}
