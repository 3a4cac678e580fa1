//! Items: the path of the bucket and the data, with their limits.

use crate::PeerId;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Maximum number of names in a bucket's path.
pub const MAX_NAMES: usize = 8;
/// Maximum size, in bytes, of one name of a bucket's path.
pub const MAX_NAME_BYTES: usize = 64;
/// Maximum size, in bytes, of an item's data. Larger data goes into IPFS, and the item names its CID.
pub const MAX_DATA_BYTES: usize = 1024;

/// The path of a bucket, such as `share/files`: 1 to 8 names of 1 to 64 bytes, without `/` or control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketPath {
    /// The names joined by `/`. One allocation for each path, shared by all items of the bucket; sorted as `str`.
    joined: Arc<str>,
}

/// Reason why a list of names is not a bucket path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BucketError {
    /// The path has too few or too many names.
    #[error("a bucket path has 1 to {MAX_NAMES} names, not {0}")]
    Count(usize),
    /// A name is empty or too long.
    #[error("a bucket name has 1 to {MAX_NAME_BYTES} bytes, not {0}")]
    Length(usize),
    /// A name contains a character that would make the path ambiguous.
    #[error("a bucket name must not contain `/` or a control character: {0:?}")]
    Character(String),
}

impl BucketPath {
    /// Creates the path with these names.
    ///
    /// # Errors
    /// Returns an error if the number of names, or a name, is out of bounds.
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

    /// Creates the path from names joined by `/`, without a check. The names must be valid; they come from the table of
    /// families, and may include a peer ID.
    pub(crate) fn known(joined: &str) -> Self {
        Self { joined: joined.into() }
    }

    /// Returns the names, first to last.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.joined.split('/')
    }

    /// Returns whether the path begins with the names of `head`.
    pub(crate) fn is_within(&self, head: &str) -> bool {
        below(&self.joined, head).is_some()
    }

    /// Returns the successor of this path: no other path sorts between the two. The successor itself is not a valid
    /// path, because it contains a zero byte.
    pub(crate) fn successor(&self) -> Self {
        Self { joined: format!("{}\0", self.joined).into() }
    }

    /// Returns the names joined by `/`, without a leading `/`.
    pub fn as_str(&self) -> &str {
        &self.joined
    }
}

/// Returns the part of `path` that follows the names `head`, or `None` if `path` begins with other names.
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
    /// Parses `share/files` as well as `/share/files`.
    fn from_str(text: &str) -> Result<Self, BucketError> {
        let names: Vec<&str> = text.strip_prefix('/').unwrap_or(text).split('/').collect();
        Self::new(&names)
    }
}

impl Serialize for BucketPath {
    /// Serializes the path as a list of names.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for BucketPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Names)
    }
}

/// Visitor that reads a list of names. It stops at the first name beyond the limit.
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

/// A text that is borrowed from the input if it contains no escapes.
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

/// Data of an item: a text of at most 1024 bytes.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Data(Arc<str>);

/// Error for data over the size limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an item's data has at most {MAX_DATA_BYTES} bytes, not {0}; put it into IPFS and name its CID")]
pub struct DataError(usize);

impl Data {
    /// Creates data from a text.
    ///
    /// # Errors
    /// Returns an error if the text has more than 1024 bytes.
    pub fn new(text: &str) -> Result<Self, DataError> {
        if text.len() > MAX_DATA_BYTES { Err(DataError(text.len())) } else { Ok(Self(text.into())) }
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<PeerId> for Data {
    /// Returns the data that names a peer: an ID of about 50 bytes.
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

/// A text in a bucket: the subject that records propose or dismiss.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Item {
    /// Bucket of the item.
    pub bucket: BucketPath,
    /// Text of the item.
    pub data: Data,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_path_parses_back_to_the_same_path() {
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
