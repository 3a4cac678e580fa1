//! The path of a file below a shared folder, as peers state it.

use super::{INFO_NAME, InfoError, MAX_NAME_BYTES};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Maximum length of a path, in bytes.
const MAX_PATH_BYTES: usize = 768;
/// Maximum number of names of a path: the folders that the proposer scans, and the file.
const MAX_NAMES: usize = crate::scan::MAX_DEPTH + 1;

/// Path of a file that is in a subfolder of a shared folder, such as `run/a.bag`. It is relative, has at least one
/// folder, and leads nowhere else: no name is hidden, empty, `.` or `..`, or has control characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FilePath(String);

impl FilePath {
    /// Returns the path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the last name: that of the file.
    pub(crate) fn filename(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }
}

impl FromStr for FilePath {
    type Err = InfoError;

    fn from_str(text: &str) -> Result<Self, InfoError> {
        let is_name = |name: &str| {
            !name.is_empty()
                && !name.starts_with('.')
                && name.len() <= MAX_NAME_BYTES
                && !name.chars().any(char::is_control)
        };
        let names = text.split('/').count();
        let is_path = text.len() <= MAX_PATH_BYTES
            && (2..=MAX_NAMES).contains(&names)
            && text.split('/').all(is_name)
            && !text.ends_with(&format!("/{INFO_NAME}"));
        if is_path {
            Ok(Self(text.to_owned()))
        } else {
            Err(InfoError::Path(text.chars().take(100).collect()))
        }
    }
}

impl TryFrom<String> for FilePath {
    type Error = InfoError;

    fn try_from(text: String) -> Result<Self, InfoError> {
        text.parse()
    }
}

impl From<FilePath> for String {
    fn from(path: FilePath) -> Self {
        path.0
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hostile_paths_are_refused() {
        let long = format!("a/{}", "x".repeat(MAX_NAME_BYTES + 1));
        let deep = "a/".repeat(MAX_NAMES) + "a";
        let total = format!("{}a", "abcdefghi/".repeat(100));
        for text in [
            "",
            "a",
            "/",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a/..",
            "a/../b",
            "./a",
            "a/.",
            "/etc/passwd",
            ".ssh/key",
            "a/.hidden",
            "a\n/b",
            "a/\u{1b}[2Jb",
            "a/upload_info1.yaml",
            &long,
            &deep,
            &total,
        ] {
            assert!(text.parse::<FilePath>().is_err(), "{text:?}");
        }
        for text in ["run/a.bag", "a b/c d", "ä/ö", "a/b/c/d/e/f/g/h/i", "a\\b/c"] {
            assert_eq!(text.parse::<FilePath>().unwrap().as_str(), text);
        }
        assert_eq!("run/a.bag".parse::<FilePath>().unwrap().filename(), "a.bag");
    }

    proptest! {
        #[test]
        fn a_path_stays_below_its_folder(text in "[./a\\PC]{0,40}") {
            if let Ok(path) = text.parse::<FilePath>() {
                let parts = std::path::Path::new(path.as_str()).components();
                let are_plain = parts.map(|part| matches!(part, std::path::Component::Normal(_)));
                prop_assert_eq!(are_plain.filter(|is_plain| *is_plain).count(), path.as_str().split('/').count());
            }
        }
    }
}
