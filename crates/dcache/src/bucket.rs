//! Where an item stands (its bucket's path) and what it says (its data), with their bounds.

use crate::PeerId;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The most names in a bucket's path.
pub const MAX_NAMES: usize = 8;
/// The most bytes in one name of a bucket's path.
pub const MAX_NAME_BYTES: usize = 64;
/// The most bytes of an item's data; what is larger goes into IPFS and is named by its CID.
pub const MAX_DATA_BYTES: usize = 1024;

/// The path of a bucket, such as `share/files`: 1 to 8 names of 1 to 64 bytes, without `/` or control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketPath {
    /// The names joined by `/`: one allocation a path, shared by all its items, in the order of `str`.
    joined: Arc<str>,
}

/// Why names make no bucket path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// Too few or too many names.
    #[error("a bucket path has 1 to {MAX_NAMES} names, not {0}")]
    Count(usize),
    /// A name that is empty or too long.
    #[error("a bucket name has 1 to {MAX_NAME_BYTES} bytes, not {0}")]
    Length(usize),
    /// A name with a character that would blur the path.
    #[error("a bucket name holds no `/` and no control character: {0:?}")]
    Character(String),
}

impl BucketPath {
    /// The path with these names.
    ///
    /// # Errors
    /// When the number of names, or a name, is out of its bounds.
    pub fn new<S: AsRef<str>>(names: &[S]) -> Result<Self, BucketError> {
        if names.is_empty() || names.len() > MAX_NAMES {
            return Err(BucketError::Count(names.len()));
        }
        for name in names {
            check_name(name.as_ref())?;
        }
        let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
        Ok(Self { joined: names.join("/").into() })
    }

    /// The path whose joined names are `joined`, which the caller knows to be valid: it stands in the table of families,
    /// with a peer ID in it or without.
    pub(crate) fn known(joined: &str) -> Self {
        Self { joined: joined.into() }
    }

    /// The names, first to last.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.joined.split('/')
    }

    /// Returns whether the path begins with the names of `head`.
    pub(crate) fn is_within(&self, head: &str) -> bool {
        below(&self.joined, head).is_some()
    }

    /// What sorts right after this path, and before every other one. It is no path itself: no name holds a zero.
    pub(crate) fn successor(&self) -> Self {
        Self { joined: format!("{}\0", self.joined).into() }
    }

    /// The names joined by `/`, without a leading one.
    pub fn as_str(&self) -> &str {
        &self.joined
    }
}

/// Returns what follows the names `head` in `path`, or none when `path` begins with other names.
pub(crate) fn below<'a>(path: &'a str, head: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(head)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

fn check_name(name: &str) -> Result<(), BucketError> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES {
        return Err(BucketError::Length(name.len()));
    }
    if name.contains('/') || name.chars().any(char::is_control) {
        return Err(BucketError::Character(name.to_owned()));
    }
    Ok(())
}

impl FromStr for BucketPath {
    type Err = BucketError;
    /// Reads `share/files` as well as `/share/files`.
    fn from_str(text: &str) -> Result<Self, BucketError> {
        let names: Vec<&str> = text.strip_prefix('/').unwrap_or(text).split('/').collect();
        Self::new(&names)
    }
}

impl Serialize for BucketPath {
    /// As a list of names.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for BucketPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Names)
    }
}

/// Reads a list of names, at most one more than a path has.
struct Names;

impl<'de> Visitor<'de> for Names {
    type Value = BucketPath;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of 1 to {MAX_NAMES} names")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<BucketPath, A::Error> {
        let mut joined = String::with_capacity(64);
        let mut count = 0;
        while let Some(Text(name)) = names.next_element()? {
            count += 1;
            if count > MAX_NAMES {
                return Err(A::Error::custom(BucketError::Count(count)));
            }
            check_name(&name).map_err(A::Error::custom)?;
            if count > 1 {
                joined.push('/');
            }
            joined.push_str(&name);
        }
        match count {
            0 => Err(A::Error::custom(BucketError::Count(0))),
            _ => Ok(BucketPath { joined: joined.into() }),
        }
    }
}

/// A text that is borrowed from the input when nothing in it is escaped.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl fmt::Display for BucketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.joined)
    }
}

impl fmt::Debug for BucketPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BucketPath({})", self.joined)
    }
}

/// What an item says: at most 1024 bytes of text.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Data(Arc<str>);

/// Data over its bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an item's data has at most {MAX_DATA_BYTES} bytes, not {0}; put it into IPFS and name its CID")]
pub struct DataError(usize);

impl Data {
    /// The data that says `text`.
    ///
    /// # Errors
    /// When it has more than 1024 bytes.
    pub fn new(text: &str) -> Result<Self, DataError> {
        if text.len() > MAX_DATA_BYTES { Err(DataError(text.len())) } else { Ok(Self(text.into())) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<PeerId> for Data {
    /// Returns the data that names a peer: an ID of some 50 bytes.
    fn from(peer: PeerId) -> Self {
        Self(String::from(peer).into())
    }
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        Self::new(&text).map_err(D::Error::custom)
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

/// A text in a bucket: what records propose and dismiss.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// Where it stands.
    pub bucket: BucketPath,
    /// What it says.
    pub data: Data,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_back_what_it_prints() {
        let path: BucketPath = "/share/files".parse().unwrap();
        assert_eq!(path.to_string(), "share/files");
        assert_eq!(path.names().collect::<Vec<_>>(), ["share", "files"]);
        assert_eq!(serde_json::to_string(&path).unwrap(), r#"["share","files"]"#);
    }

    #[test]
    fn names_out_of_bounds_are_refused() {
        assert_eq!(BucketPath::new::<&str>(&[]), Err(BucketError::Count(0)));
        assert_eq!(BucketPath::new(&["a"; 9]), Err(BucketError::Count(9)));
        assert_eq!(BucketPath::new(&["a", ""]), Err(BucketError::Length(0)));
        assert_eq!(BucketPath::new(&["a".repeat(65)]), Err(BucketError::Length(65)));
        assert!(BucketPath::new(&["a/b"]).is_err());
        assert!(BucketPath::new(&["a\nb"]).is_err());
        assert!(Data::new(&"x".repeat(1025)).is_err());
    }
}
