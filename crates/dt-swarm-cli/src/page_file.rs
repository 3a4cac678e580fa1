//! The files of pages. A page never replaces a file that is no page of the same command.

use crate::error::CliError;
use crate::html::Page;
use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Checks that the page may be written to this path: nothing is there, or a page that the same command wrote.
///
/// # Errors
/// When something else is there, unless `is_forced` permits to replace a file.
pub(crate) fn check(page: &Page, path: &Path, is_forced: bool) -> Result<(), CliError> {
    check_start(&page.start(), path, is_forced)
}

/// Checks that a file that begins with `expected` may be written to this path: nothing is there, or a file that begins so.
///
/// # Errors
/// When something else is there, unless `is_forced` permits to replace a file.
pub(crate) fn check_start(expected: &str, path: &Path, is_forced: bool) -> Result<(), CliError> {
    let is_file = match fs::metadata(path) {
        Ok(found) => found.is_file(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(unwritable(path, source)),
    };
    if !is_file {
        return Err(CliError::NotAPage(path.to_owned()));
    }
    let mut start = Vec::new();
    let file = File::open(path).and_then(|file| file.take(expected.len() as u64).read_to_end(&mut start));
    match file {
        _ if is_forced => Ok(()),
        Ok(_) if start == expected.as_bytes() => Ok(()),
        _ => Err(CliError::Exists(path.to_owned())),
    }
}

/// Writes the text of the page to a temporary file, which then replaces the file in one step.
pub(crate) fn write(page: &Page, path: &Path, text: &str) -> Result<(), CliError> {
    write_text(page.command, path, text)
}

/// Writes a text of this command to a temporary file, which then replaces the file in one step.
pub(crate) fn write_text(command: &str, path: &Path, text: &str) -> Result<(), CliError> {
    replace(command, path, text).map_err(|source| unwritable(path, source))
}

fn replace(command: &str, path: &Path, text: &str) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let prefix = format!(".dt-swarm-{command}-");
    // The operating system reduces the permissions by the mask of the user.
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(&prefix).permissions(Permissions::from_mode(0o666));
    let mut file = builder.tempfile_in(parent.unwrap_or_else(|| Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

fn unwritable(path: &Path, source: io::Error) -> CliError {
    CliError::PageUnwritten { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_replaces_only_a_page_of_the_same_command() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.html");
        let page = Page { command: "network", title: "Network", style: "", script: None };
        let other = Page { command: "report", ..page };
        check(&page, &path, false).unwrap();
        write(&page, &path, &page.with_body("")).unwrap();
        check(&page, &path, false).unwrap();
        assert!(matches!(check(&other, &path, false), Err(CliError::Exists(_))));
        write(&page, &path, "something else").unwrap();
        assert!(matches!(check(&page, &path, false), Err(CliError::Exists(_))));
        check(&page, &path, true).unwrap();
        assert!(matches!(check(&page, folder.path(), true), Err(CliError::NotAPage(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
    }
}
