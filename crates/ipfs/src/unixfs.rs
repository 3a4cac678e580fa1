//! Converts files and directories to blocks and back, in the same way as Kubo.
//!
//! All functions here block on the disk. The node runs them on threads that may block.
mod add;
mod export;
mod read;
mod seek;
mod walk;

pub use add::{
    AddError, Added, Content, DirectoryEntry, Format, Progress, add_directory, add_file, add_pieces,
};
pub use export::{ExportError, export};
pub use read::{Listed, ReadError, cat, file_size, list, read_through};
pub use seek::{Cursor, FileNode, MAX_FILE_DEPTH, Part, SeekError};
pub use walk::{MAX_DEPTH, WalkError, walk_complete};

/// Maximum length of a name in a directory in bytes: the limit of Linux file systems.
pub const MAX_NAME_BYTES: usize = 255;

/// Returns whether a name can safely be an entry of a directory: it is not empty, not `.` or `..`, has no `/` or NUL,
/// and is not longer than [`MAX_NAME_BYTES`].
pub fn is_safe_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= MAX_NAME_BYTES && !name.contains(['/', '\0'])
}

/// Returns whether a name can safely be that of a file of a stranger in a folder of a user: [`is_safe_name`], not hidden,
/// and without control characters.
pub fn is_plain_name(name: &str) -> bool {
    is_safe_name(name) && !name.starts_with('.') && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
