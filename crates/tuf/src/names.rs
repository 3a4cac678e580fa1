//! Names of roles, targets and files, which are checked when they are made.

#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::limits::{MAX_PATH_BYTES, MAX_ROLE_NAME_BYTES};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Reason why a text is not the path of a target, or not the name of a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The text is not the path of a target.
    #[error(
        "{0:?} cannot be the path of a target: write names joined by `/`, without `.`, `..`, `\\` and control \
         characters, in at most {MAX_PATH_BYTES} bytes"
    )]
    Path(String),
    /// The text is not the name of a delegated role.
    #[error(
        "{0:?} cannot be the name of a delegated role: write 1 to {MAX_ROLE_NAME_BYTES} bytes without control \
         characters, and not root, timestamp, snapshot or targets"
    )]
    Role(String),
}

/// The path of a target, such as `duckiebot/dt-swarm_1.2.0_arm64.deb`. It is relative and stays within its folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetPath(String);

/// The name of a delegated role.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(String);

/// A role that lists targets: the top one, or a delegated one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetsRole {
    /// The role `targets`, whose keys are in the root.
    Top,
    /// A role whose keys are in the file of another role.
    Delegated(RoleName),
}

/// A role of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The role that names the keys of the other three.
    Root,
    /// The role that names the newest snapshot.
    Timestamp,
    /// The role that names the versions of all files of targets.
    Snapshot,
    /// A role that lists targets.
    Targets(TargetsRole),
}

/// The name of a metadata file on a mirror, such as `3.targets.json`. It has only letters, digits and `-._~%`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileName(String);

impl FromStr for TargetPath {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_name = |name: &str| !matches!(name, "" | "." | "..");
        let is_fit = |character: char| character != '\\' && !character.is_control();
        let is_path =
            text.len() <= MAX_PATH_BYTES && text.chars().all(is_fit) && text.split('/').all(is_name);
        if is_path { Ok(Self(text.to_owned())) } else { Err(NameError::Path(text.to_owned())) }
    }
}

impl FromStr for RoleName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_name = (1..=MAX_ROLE_NAME_BYTES).contains(&text.len())
            && !text.chars().any(char::is_control)
            && !["root", "timestamp", "snapshot", "targets"].contains(&text);
        if is_name { Ok(Self(text.to_owned())) } else { Err(NameError::Role(text.to_owned())) }
    }
}

impl TargetsRole {
    /// Returns the name of the role.
    pub fn name(&self) -> &str {
        match self {
            Self::Top => "targets",
            Self::Delegated(name) => &name.0,
        }
    }

    /// Parses the name of a role that lists targets.
    pub(crate) fn parse(name: &str) -> Result<Self, NameError> {
        if name == "targets" { Ok(Self::Top) } else { Ok(Self::Delegated(name.parse()?)) }
    }

    /// Returns the key of the role's file in a snapshot.
    pub(crate) fn key_in_snapshot(&self) -> String {
        format!("{}.json", self.name())
    }
}

impl Role {
    /// Returns the name of the role.
    pub fn name(&self) -> &str {
        match self {
            Self::Root => "root",
            Self::Timestamp => "timestamp",
            Self::Snapshot => "snapshot",
            Self::Targets(role) => role.name(),
        }
    }
}

impl FileName {
    /// Returns the name of the file with this version of a role.
    pub fn versioned(role: &Role, version: u64) -> Self {
        Self(format!("{version}.{}", Self::of(role)))
    }

    /// Returns the name of a role's file without a version.
    pub fn of(role: &Role) -> Self {
        Self(format!("{}.json", encoded(role.name())))
    }
}

impl AsRef<str> for FileName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for RoleName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for TargetPath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Encodes all bytes but the unreserved ones of RFC 3986 with a percent sign, as other implementations do.
fn encoded(name: &str) -> String {
    use fmt::Write as _;
    name.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a text cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

macro_rules! text_conversions {
    ($($name:ty),*) => {$(
        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

text_conversions!(TargetPath, RoleName);

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TargetsRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_within_its_folder() {
        for path in ["a", "a/b.deb", "a b/ü", "..a", "a..b/c", "a?"] {
            assert_eq!(path.parse::<TargetPath>().unwrap().as_ref(), path);
        }
        let long = "a".repeat(MAX_PATH_BYTES + 1);
        for path in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\\b", "a\nb", &long] {
            assert_eq!(path.parse::<TargetPath>(), Err(NameError::Path(path.to_owned())));
        }
    }

    #[test]
    fn a_delegated_role_is_none_of_the_top_ones() {
        for name in ["", "root", "timestamp", "snapshot", "targets", "a\0", &"a".repeat(129)] {
            assert_eq!(name.parse::<RoleName>(), Err(NameError::Role(name.to_owned())));
        }
        assert_eq!(TargetsRole::parse("targets"), Ok(TargetsRole::Top));
        assert_eq!(TargetsRole::parse("x").unwrap().name(), "x");
    }

    #[test]
    fn file_names_have_no_special_characters() {
        let role = |name| Role::Targets(TargetsRole::parse(name).unwrap());
        assert_eq!(FileName::versioned(&Role::Root, 3).as_ref(), "3.root.json");
        assert_eq!(FileName::of(&Role::Timestamp).as_ref(), "timestamp.json");
        assert_eq!(FileName::of(&role("targets")).as_ref(), "targets.json");
        assert_eq!(FileName::versioned(&role("../a b?#é"), 1).as_ref(), "1...%2Fa%20b%3F%23%C3%A9.json");
    }
}
