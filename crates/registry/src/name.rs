//! Names in the paths of requests: repositories, tags and digests.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::fmt;
use std::str::FromStr;

/// Maximum length of a repository's name, in bytes. It is that of other registries.
const MAX_REPOSITORY_BYTES: usize = 255;
/// Maximum length of a tag, in bytes, by the specification.
const MAX_TAG_BYTES: usize = 128;
/// Number of hexadecimal digits of a SHA-256.
const SHA256_DIGITS: usize = 64;

/// A text in a path is not what it has to be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NameError {
    /// The name of a repository is not valid.
    #[error("the name of a repository consists of parts of a-z 0-9 . _ -, separated by /")]
    Repository,
    /// A tag is not valid.
    #[error("a tag has at most 128 characters of a-z A-Z 0-9 . _ -")]
    Tag,
    /// A digest is not valid.
    #[error("a digest is `sha256:` and 64 digits of 0-9 a-f")]
    Digest,
}

macro_rules! text_type {
    ($($(#[$doc:meta])* $name:ident, $error:ident, $check:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
        pub struct $name(String);

        impl $name {
            /// Returns it as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                if $check(text) { Ok(Self(text.to_owned())) } else { Err(NameError::$error) }
            }
        }
    )*};
}

text_type! {
    /// Name of a repository, such as `duckietown/dt-core`.
    Repository, Repository, is_repository;
    /// Name of a version of an image.
    Tag, Tag, is_tag;
    /// Digest of a manifest or a blob: `sha256:` and 64 hexadecimal digits.
    Digest, Digest, is_digest;
}

fn is_repository(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_part = |part: &str| {
        part.bytes().all(|byte| is_plain(byte) || b"._-".contains(&byte))
            && [part.bytes().next(), part.bytes().last()].iter().all(|end| end.is_some_and(is_plain))
    };
    text.len() <= MAX_REPOSITORY_BYTES && text.split('/').all(is_part)
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=MAX_TAG_BYTES).contains(&text.len())
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|digits| {
        digits.len() == SHA256_DIGITS
            && digits.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    })
}

impl Digest {
    /// Returns the digest of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::{Digest as _, Sha256};
        use std::fmt::Write as _;
        let mut text = String::from("sha256:");
        for byte in Sha256::digest(bytes) {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        Self(text)
    }
}

/// A request for something of a repository.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Wanted {
    Tag(Tag),
    Manifest(Digest),
    Blob(Digest),
}

/// Reads the part of a path after `/v2/`. Returns nothing if it is no path of a repository.
pub(crate) fn parse(path: &str) -> Option<Result<(Repository, Wanted), NameError>> {
    let (rest, reference) = path.rsplit_once('/')?;
    let (repository, kind) = rest.rsplit_once('/')?;
    let wanted = match kind {
        "blobs" => reference.parse().map(Wanted::Blob),
        "manifests" if reference.contains(':') => reference.parse().map(Wanted::Manifest),
        "manifests" => reference.parse().map(Wanted::Tag),
        _ => return None,
    };
    Some(repository.parse().and_then(|repository| Ok((repository, wanted?))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked() {
        for text in ["a", "duckietown/dt-core", "a.b/c_d/e-f", "0"] {
            assert!(text.parse::<Repository>().is_ok(), "{text}");
        }
        for text in
            ["", "/", "a/", "/a", "a//b", "A", "a/../b", ".a", "a.", "-a", "a b", "%2e", &"a".repeat(256)]
        {
            assert!(text.parse::<Repository>().is_err(), "{text}");
        }
        for text in ["latest", "ente-arm64v8", "_1.0", &"a".repeat(128)] {
            assert!(text.parse::<Tag>().is_ok(), "{text}");
        }
        for text in ["", ".a", "-a", "a/b", "a:b", &"a".repeat(129)] {
            assert!(text.parse::<Tag>().is_err(), "{text}");
        }
        let digest = Digest::of(b"").to_string();
        assert_eq!(digest, "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert!(digest.parse::<Digest>().is_ok());
        for text in [&digest[..70], &digest.to_uppercase(), &digest.replace("256", "512"), "sha256:"] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn paths_are_split_from_their_end() {
        let digest = Digest::of(b"x");
        let (repository, wanted) = parse("duckietown/manifests/manifests/latest").unwrap().unwrap();
        assert_eq!(repository.as_str(), "duckietown/manifests");
        assert_eq!(wanted, Wanted::Tag("latest".parse().unwrap()));
        let (_, wanted) = parse(&format!("a/blobs/{digest}")).unwrap().unwrap();
        assert_eq!(wanted, Wanted::Blob(digest.clone()));
        let (_, wanted) = parse(&format!("a/manifests/{digest}")).unwrap().unwrap();
        assert_eq!(wanted, Wanted::Manifest(digest));
        assert_eq!(parse("a/blobs/latest"), Some(Err(NameError::Digest)));
        assert_eq!(parse("A/manifests/latest"), Some(Err(NameError::Repository)));
        for path in ["", "a", "a/b", "_catalog", "a/tags/list"] {
            assert_eq!(parse(path), None, "{path}");
        }
    }
}
