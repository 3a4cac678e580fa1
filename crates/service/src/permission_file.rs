//! The permission files of Duckietown's robots: a file whose content permits or denies something.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// Maximum number of bytes that are read of a file.
const MAX_BYTES: u64 = 64;
/// Contents of a file that permit.
const GRANTED: [&str; 3] = ["true", "yes", "1"];

/// A permission file at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PermissionFile {
    /// There is no file.
    #[default]
    Absent,
    /// The file permits.
    Grants,
    /// The file denies.
    Denies,
    /// The file cannot be read, for this reason. Then nothing is permitted.
    Unreadable(String),
}

impl PermissionFile {
    /// Reads a permission file. This call blocks.
    pub fn read(path: &Path) -> Self {
        let mut text = Vec::new();
        match File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text)) {
            Ok(_) => {
                let text = String::from_utf8_lossy(&text).trim().to_lowercase();
                if GRANTED.contains(&text.as_str()) { Self::Grants } else { Self::Denies }
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Self::Absent,
            Err(error) => Self::Unreadable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_of_consent_grants() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("allow_push_stats_data");
        assert_eq!(PermissionFile::read(&file), PermissionFile::Absent);
        for text in ["1", "true\n", "YES"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(PermissionFile::read(&file), PermissionFile::Grants, "{text:?}");
        }
        for text in ["0", "", "truer", &"1".repeat(1 << 20)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(PermissionFile::read(&file), PermissionFile::Denies);
        }
        assert!(matches!(PermissionFile::read(folder.path()), PermissionFile::Unreadable(_)));
    }
}
