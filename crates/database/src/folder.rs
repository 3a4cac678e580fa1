//! Helpers for the folder of a file, and for errors of a full disk.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::Path;

/// Syncs the folder that contains `file`, so that the file's name survives a power cut. Syncing the file alone does not
/// make its name durable.
///
/// # Errors
/// Returns an error if the folder cannot be opened or synced.
pub fn sync_folder(file: &Path) -> io::Result<()> {
    File::open(parent_folder(file))?.sync_all()
}

/// Returns the folder that contains `file`, or `.` for a file name alone.
pub fn parent_folder(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Returns whether the error means that the disk, or the user's quota on it, is full.
pub fn is_out_of_space(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}
