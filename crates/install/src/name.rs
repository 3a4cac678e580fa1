//! Names of targets, and versions with their order. Both are names of folders, so their characters are limited.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Maximum length of a name or a version, in bytes. Folder names have at most 255 bytes.
const MAX_BYTES: usize = 64;
/// Names of the entries beside the folders of versions. No version has one of them.
const RESERVED_VERSIONS: [&str; 2] = ["current", "journal"];
/// Name of the folder of hooks, which is beside the folders of targets. No target has it.
pub(crate) const HOOKS: &str = "hooks";

/// The text is no valid name or version.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "{text:?} is no valid {what}: it needs 1 to {MAX_BYTES} characters, the first a letter or digit, the others of {allowed}"
)]
pub struct NameError {
    text: String,
    what: &'static str,
    allowed: &'static str,
}

/// Name of a target, such as `dt-swarm`. It is the name of a folder.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        if is_plain(text, is_allowed) && text != HOOKS {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError { text: shortened(text), what: "name of a target", allowed: "a-z 0-9 . - _" })
    }
}

/// Version of a target. Versions are compared as Debian compares them, with one addition: a `-` before a letter sorts
/// before the end of the text. So `1.0-rc1` is before `1.0`, and `1.0-1` is after it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

impl Version {
    /// Returns the version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Version {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".+~:_-".contains(&byte);
        if is_plain(text, is_allowed) && !RESERVED_VERSIONS.contains(&text) {
            return Ok(Self(text.to_owned()));
        }
        Err(NameError { text: shortened(text), what: "version", allowed: "a-z A-Z 0-9 . + ~ : _ -" })
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        // Texts such as `1.0` and `1.00` are of equal rank. The text decides, so that equal versions are the same version.
        compare(self.0.as_bytes(), other.0.as_bytes()).then_with(|| self.0.cmp(&other.0))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Version {}

macro_rules! text_type {
    ($($name:ident)*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }
    )*};
}

text_type!(Name Version);

fn is_plain(text: &str, is_allowed: impl Fn(u8) -> bool) -> bool {
    (1..=MAX_BYTES).contains(&text.len())
        && text.bytes().all(&is_allowed)
        && text.bytes().next().is_some_and(|first| first.is_ascii_alphanumeric())
}

fn shortened(text: &str) -> String {
    text.chars().take(MAX_BYTES).collect()
}

/// Compares two texts by turns of characters that are no digits, and of numbers. The epoch of Debian needs no rule of
/// its own, because all versions of a target either have one or have none.
fn compare(mut left: &[u8], mut right: &[u8]) -> Ordering {
    loop {
        let is_over = left.is_empty() && right.is_empty();
        let (left_text, left_rest) = split(left, |byte| !byte.is_ascii_digit());
        let (right_text, right_rest) = split(right, |byte| !byte.is_ascii_digit());
        let (left_number, left_rest) = split(left_rest, |byte| byte.is_ascii_digit());
        let (right_number, right_rest) = split(right_rest, |byte| byte.is_ascii_digit());
        let order =
            ranks(left_text).cmp(ranks(right_text)).then_with(|| compare_numbers(left_number, right_number));
        if order.is_ne() || is_over {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
}

fn split(text: &[u8], belongs: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    text.split_at(text.iter().position(|byte| !belongs(*byte)).unwrap_or(text.len()))
}

/// Returns the ranks of characters, with the rank of the end at last: `~` and the `-` of a pre-release are before the
/// end, letters follow it, and all others follow the letters.
fn ranks(text: &[u8]) -> impl Iterator<Item = u16> {
    let rank = |index: usize| match text[index] {
        b'~' => 0,
        b'-' if text.get(index + 1).is_some_and(u8::is_ascii_alphabetic) => 1,
        letter if letter.is_ascii_alphabetic() => 0x100 + u16::from(letter),
        other => 0x200 + u16::from(other),
    };
    (0..text.len()).map(rank).chain([2])
}

/// Compares two numbers of any length. An empty one is zero.
fn compare_numbers(left: &[u8], right: &[u8]) -> Ordering {
    let [left, right] = [left, right].map(|number| split(number, |byte| byte == b'0').1);
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_are_in_the_order_in_which_they_are_published() {
        let ordered = [
            "0.9",
            "1.0~beta",
            "1.0-alpha",
            "1.0-rc1",
            "1.0-rc2",
            "1.0-rc10",
            "1.0",
            "1.0a",
            "1.0+build",
            "1.0-1",
            "1.0-2",
            "1.0.1",
            "1.2",
            "1.10",
            "2",
            "2026.11.30",
        ];
        for (index, left) in ordered.iter().enumerate() {
            for (other, right) in ordered.iter().enumerate() {
                assert_eq!(version(left).cmp(&version(right)), index.cmp(&other), "{left} and {right}");
            }
        }
    }

    #[test]
    fn numbers_of_any_length_are_compared() {
        assert!(version("1.99999999999999999999999") < version("1.100000000000000000000000"));
        assert!(version("1.007") > version("1.6"));
        assert_ne!(version("1.0"), version("1.00"));
    }

    #[test]
    fn a_name_is_never_a_path() {
        for text in ["", ".", "..", "a/b", "/a", "-a", ".a", "a\0", "ä", "A", "hooks", &"a".repeat(65)] {
            assert!(text.parse::<Name>().is_err(), "{text:?}");
        }
        for text in ["", ".", "..", "1/2", "current", "journal", "~1", "1 2", &"1".repeat(65)] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
        assert_eq!("dt-swarm_2.x".parse::<Name>().unwrap().as_str(), "dt-swarm_2.x");
        assert_eq!(version("1:2.3~rc1+b-4_A").as_str(), "1:2.3~rc1+b-4_A");
    }
}
