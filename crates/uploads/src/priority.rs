//! Which files go first: an ordered list of patterns and kinds.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use dcache::Pattern;
use logs::Description;
use recordings::Kind;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Begin of an entry that names a kind.
const OF_KIND: &str = "kind:";
/// Names of the kinds, as `report --kind` has them.
const KINDS: [(&str, Kind); 6] = [
    ("bag", Kind::Ros1Bag),
    ("mcap", Kind::Mcap),
    ("ros2", Kind::Ros2Folder),
    ("database", Kind::Database),
    ("text", Kind::Text),
    ("other", Kind::Other),
];

/// Files that go before others: a pattern for paths below the shared folder, such as `run/*.bag`, or a kind, such as
/// `kind:ros2`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Priority {
    /// Files with such a path.
    Path(Pattern),
    /// Recordings of this kind.
    Kind(Kind),
}

/// A text is neither a pattern nor a kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a pattern for files, such as *.bag or run/*, nor a kind: kind:bag, kind:mcap, kind:ros2, \
     kind:database, kind:text or kind:other"
)]
pub struct PriorityError(String);

impl PartialEq for Priority {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for Priority {}

impl Priority {
    /// Returns whether a file goes first.
    pub(crate) fn matches(&self, file: &Description) -> bool {
        match self {
            Self::Path(pattern) => {
                let path = file.path.as_ref().map_or(file.filename.as_str(), |path| path.as_str());
                pattern.matches_text(path)
            }
            Self::Kind(kind) => file.recording.as_ref().is_some_and(|recording| recording.kind == *kind),
        }
    }
}

/// Returns the place of a file in a list of priorities. Files that match none are last.
pub(crate) fn rank(priorities: &[Priority], file: Option<&Description>) -> usize {
    let first = file.and_then(|file| priorities.iter().position(|priority| priority.matches(file)));
    first.unwrap_or(priorities.len())
}

impl FromStr for Priority {
    type Err = PriorityError;

    fn from_str(text: &str) -> Result<Self, PriorityError> {
        let wrong = || PriorityError(text.chars().take(200).collect());
        match text.strip_prefix(OF_KIND) {
            Some(name) => {
                let kind = KINDS.iter().find(|(known, _)| *known == name);
                kind.map(|(_, kind)| Self::Kind(*kind)).ok_or_else(wrong)
            }
            None if text.is_empty() => Err(wrong()),
            None => Pattern::new(text).map(Self::Path).map_err(|_| wrong()),
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(pattern) => to.write_str(pattern.as_str()),
            Self::Kind(kind) => {
                let name = KINDS.iter().find(|(_, known)| known == kind).map_or("other", |(name, _)| name);
                write!(to, "{OF_KIND}{name}")
            }
        }
    }
}

impl TryFrom<String> for Priority {
    type Error = PriorityError;

    fn try_from(text: String) -> Result<Self, PriorityError> {
        text.parse()
    }
}

impl From<Priority> for String {
    fn from(priority: Priority) -> Self {
        priority.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_priority_reads_back_as_written() {
        for text in ["*.bag", "run/important/*", "kind:ros2", "kind:other"] {
            assert_eq!(text.parse::<Priority>().unwrap().to_string(), text);
        }
        for text in ["kind:", "kind:ros", "{", ""] {
            assert!(text.parse::<Priority>().is_err(), "{text}");
        }
    }
}
