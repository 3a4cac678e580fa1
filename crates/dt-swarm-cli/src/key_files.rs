//! Finds and opens the key files that the command line names.

use crate::error::CliError;
use control::{KeyFile, KeyName, Places};
use std::path::PathBuf;

/// Returns the folder of key files.
pub(crate) fn folder() -> Result<PathBuf, CliError> {
    Places::current().keys().ok_or(CliError::NoKeys)
}

/// Returns the path of the key file that this text names. A text with a slash is a path. Another text is the name of a
/// key file in [`folder`].
pub(crate) fn path(text: &str) -> Result<PathBuf, CliError> {
    match text.contains('/') {
        true => Ok(text.into()),
        false => Ok(text.parse::<KeyName>()?.file(&folder()?)),
    }
}

/// Opens the key file that this text names.
pub(crate) fn open(text: &str) -> Result<KeyFile, CliError> {
    let path = path(text)?;
    if !text.contains('/') && !path.exists() {
        return Err(CliError::NoSuchKey { name: text.parse()? });
    }
    Ok(KeyFile::open(&path)?)
}
