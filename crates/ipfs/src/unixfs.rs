//! Files and directories to blocks and back, as Kubo does it.
//!
//! All functions here block on the disk; the node runs them on threads that may.
mod add;
mod export;
mod read;
mod seek;
mod walk;

pub use add::{AddError, Added, Content, DirectoryEntry, Format, Progress, add_directory, add_file};
pub use export::{ExportError, export};
pub use read::{Listed, ReadError, cat, file_size, list, read_through};
pub use seek::{Cursor, FileNode, MAX_FILE_DEPTH, Part, SeekError};
pub use walk::{MAX_DEPTH, WalkError, walk_complete};

/// The most bytes that a name in a directory may have: what Linux file systems allow.
pub const MAX_NAME_BYTES: usize = 255;

/// True for a name that can be an entry of a directory and nothing else: not empty, not `.` or `..`, without `/` and
/// NUL, and no longer than file systems allow.
pub fn is_safe_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= MAX_NAME_BYTES && !name.contains(['/', '\0'])
}

#[cfg(test)]
mod tests;
