//! Paths of entries and targets of links.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::{ArchiveError, Limits};

/// Maximum length of a path in an error message, in characters.
const MAX_SHOWN: usize = 80;

/// Returns the error for an entry.
pub(super) fn refused(path: &str, reason: &'static str) -> ArchiveError {
    ArchiveError::Entry { path: path.chars().take(MAX_SHOWN).collect(), reason }
}

/// Returns the path without empty names and `.`. The root of the archive is the empty path.
pub(super) fn normal(path: &str, limits: &Limits) -> Result<String, ArchiveError> {
    if path.len() > limits.path_bytes {
        return Err(refused(path, "its path is too long"));
    }
    if path.starts_with('/') {
        return Err(refused(path, "its path is absolute"));
    }
    if path.contains('\0') {
        return Err(refused(path, "its path contains a zero byte"));
    }
    let mut names = Vec::new();
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        if name == ".." {
            return Err(refused(path, "its path contains `..`"));
        }
        names.push(name);
    }
    if names.len() > limits.depth {
        return Err(refused(path, "its path has too many names"));
    }
    Ok(names.join("/"))
}

/// Checks that a symbolic link stays in the archive. `..` is only allowed at the beginning of the target: after a name
/// it would depend on other links where it leads. The link's own parents are no links, so the beginning is exact.
pub(super) fn check_link(path: &str, target: &str, limits: &Limits) -> Result<(), ArchiveError> {
    if target.is_empty() || target.len() > limits.path_bytes || target.contains('\0') {
        return Err(refused(path, "the target of the link is empty or too long"));
    }
    if target.starts_with('/') {
        return Err(refused(path, "the link leads out of the archive"));
    }
    let mut depth = path.split('/').count() - 1;
    let mut has_name = false;
    for name in target.split('/').filter(|name| !name.is_empty() && *name != ".") {
        if name != ".." {
            has_name = true;
        } else if has_name {
            return Err(refused(path, "the link has `..` after a name"));
        } else if depth == 0 {
            return Err(refused(path, "the link leads out of the archive"));
        } else {
            depth -= 1;
        }
    }
    Ok(())
}
