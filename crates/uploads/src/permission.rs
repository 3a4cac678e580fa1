//! Whether the logs of this robot may be uploaded: the permission file of Duckietown's robots, or else the setting.

use service::PermissionFile;
use std::path::PathBuf;

/// Place of the permission.
#[derive(Clone, Debug)]
pub(crate) struct Permission {
    /// Path of the permission file.
    pub(crate) file: PathBuf,
    /// The setting that applies where the file does not exist.
    pub(crate) allow: bool,
}

/// The permission at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Permitted {
    /// Whether the logs of this robot may be uploaded.
    pub(crate) is_allowed: bool,
    /// Path of the file that says so; `None` if the setting applies.
    pub(crate) file: Option<PathBuf>,
    /// Reason why the file cannot be read. Then nothing is permitted.
    pub(crate) error: Option<String>,
}

impl Permitted {
    /// Returns whether the permission file of this robot denies. Then the logs may not even be fetched from other networks.
    pub(crate) fn is_denied(&self) -> bool {
        self.file.is_some() && !self.is_allowed
    }
}

impl Permission {
    /// Reads the permission. This call blocks.
    pub(crate) fn read(&self) -> Permitted {
        let file = Some(self.file.clone());
        match PermissionFile::read(&self.file) {
            PermissionFile::Absent => Permitted { is_allowed: self.allow, ..Permitted::default() },
            PermissionFile::Grants => Permitted { is_allowed: true, file, error: None },
            PermissionFile::Denies => Permitted { is_allowed: false, file, error: None },
            PermissionFile::Unreadable(error) => Permitted { is_allowed: false, file, error: Some(error) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_decides_where_it_exists_and_the_setting_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("allow_push_logs_data");
        let of = |allow| Permission { file: file.clone(), allow }.read();
        assert!(of(true).is_allowed && !of(false).is_allowed);
        assert_eq!(of(true).file, None);
        for (text, is_allowed) in
            [("1", true), ("true\n", true), ("YES", true), ("0", false), ("", false), ("truer", false)]
        {
            std::fs::write(&file, text).unwrap();
            assert_eq!((of(true).is_allowed, of(false).is_allowed), (is_allowed, is_allowed), "{text:?}");
            assert_eq!(of(false).file, Some(file.clone()));
        }
        std::fs::write(&file, "1".repeat(1 << 20)).unwrap();
        assert!(!of(true).is_allowed, "only the beginning of a long file is read");
    }

    #[test]
    fn a_file_that_cannot_be_read_permits_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let told = Permission { file: folder.path().to_owned(), allow: true }.read();
        assert!(!told.is_allowed && told.error.is_some(), "{told:?}");
    }
}
