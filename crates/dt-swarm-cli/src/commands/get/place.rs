//! Where a file is to be.

use crate::error::CliError;
use std::path::{Path, PathBuf};

/// Returns the path of a file of this name at the place that was named, or in this folder. Fails for one that exists,
/// without `force`.
pub(super) fn destination(place: Option<&Path>, name: &str, force: bool) -> Result<PathBuf, CliError> {
    let named = place.unwrap_or_else(|| Path::new("."));
    let path = if named.is_dir() { named.join(name) } else { named.to_owned() };
    if !force && std::fs::symlink_metadata(&path).is_ok() {
        return Err(CliError::Exists(path));
    }
    // The parent of a bare name is empty.
    let is_in_nothing = path.parent().is_some_and(|parent| parent.as_os_str().is_empty());
    Ok(if is_in_nothing { Path::new(".").join(path) } else { path })
}

/// Returns the folder of a file.
pub(super) fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or_else(|| Path::new("."))
}
