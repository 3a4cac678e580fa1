//! Reads the permission file of Duckietown's robots for statistics.

use crate::consent::PermissionFile;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// Maximum number of bytes that are read of the file.
const MAX_BYTES: u64 = 64;
/// Contents of the file that permit statistics.
const GRANTED: [&str; 3] = ["true", "yes", "1"];

/// Reads the permission file. This call blocks.
pub(crate) fn read(path: &Path) -> PermissionFile {
    let mut text = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_BYTES).read_to_end(&mut text)) {
        Ok(_) => {
            let text = String::from_utf8_lossy(&text).trim().to_lowercase();
            if GRANTED.contains(&text.as_str()) { PermissionFile::Grants } else { PermissionFile::Denies }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => PermissionFile::Absent,
        Err(error) => PermissionFile::Unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_of_consent_grants() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("allow_push_stats_data");
        assert_eq!(read(&file), PermissionFile::Absent);
        for text in ["1", "true\n", "YES"] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read(&file), PermissionFile::Grants, "{text:?}");
        }
        for text in ["0", "", "truer", &"1".repeat(1 << 20)] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(read(&file), PermissionFile::Denies);
        }
        assert!(matches!(read(folder.path()), PermissionFile::Unreadable(_)));
    }
}
