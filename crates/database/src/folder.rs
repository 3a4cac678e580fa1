//! The folder that holds a file, and the space on its disk.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Syncs the folder that holds `file`, so that the file's name survives a loss of power. Syncing the file alone does
/// not make its name durable.
///
/// # Errors
/// When the folder cannot be opened or synced.
pub fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(parent_folder(file))?.sync_all()
}

/// Returns the folder that holds `file`: `.` for a name without a folder.
pub fn parent_folder(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Returns whether the error says that the disk, or the user's share of it, is full.
pub fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
